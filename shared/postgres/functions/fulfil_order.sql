-- Records a payment attempt, and gives what its order buys if the attempt has paid it: once, whoever reports it how often
-- in whatever order. Runs with the caller's rights. Returns a word:
--
--   fulfilled       the order is paid by this payment, and its period is given
--   duplicate       it was recorded before
--   unpaid          it has not paid (yet)
--   second_payment  the order is paid already, by another payment
--   mismatch        its amount or currency is not the order's
--   user_gone       the account is deleted
--   unknown_order   there is no such order; nothing is recorded
--
-- A mismatch is compared again when its payment is reported again, because a report can be wrong. It is returned for every
-- report, and so is `user_gone`: whoever got the word first may have died before an operator was told.
--
-- `attempt` is an object: payment (the provider's id), status, order_amount and currency as the provider states them,
-- paise (the same amount, or nothing if it is no whole number of paise), amount, made_at. What was paid may differ from the
-- order's amount, by the provider's offers and surcharges: the order's amount counts.
create or replace function fulfil_order(of_order uuid, at timestamptz, attempt jsonb) returns text
  language plpgsql
as $$
declare
  a        record;
  bought   orders;
  known    record;
  result   text;
  begins   timestamptz;
begin
  select * into a
    from jsonb_to_record(attempt) as fields (
           payment text, status text, order_amount text, currency text, paise bigint, amount text, made_at timestamptz
         );
  -- The user's row first, then the order's: of two orders that are paid at the same moment the second one sees the period
  -- of the first.
  perform from billing_contacts c where c.payer = (select o.payer from orders o where o.id = of_order) for update;
  select * into bought from orders o where o.id = of_order for update;
  if not found then
    return 'unknown_order';
  end if;

  select p.status, p.order_id, p.result into known from payments p where p.id = a.payment for update;
  if found then
    if known.order_id <> of_order then
      return 'mismatch';
    elsif known.result = 'user_gone' then
      return known.result;
    elsif known.result = 'mismatch' and a.status <> 'SUCCESS' then
      return 'duplicate';
    elsif known.result <> 'mismatch' and known.status in ('SUCCESS', a.status) then
      -- Also an earlier status of a payment that has succeeded, which comes late.
      return 'duplicate';
    end if;
  end if;

  result := case
    when a.status <> 'SUCCESS' then 'unpaid'
    when a.paise is distinct from bought.price_paise or a.currency <> 'INR' then 'mismatch'
    when bought.state = 'paid' then 'second_payment'
    when bought.user_id is null then 'user_gone'
    else 'fulfilled'
  end;
  insert into payments as p (id, order_id, user_id, payer, status, result, order_amount, currency, amount, made_at, recorded_at)
  values (a.payment, of_order, bought.user_id, bought.payer, a.status, result, a.order_amount, a.currency, a.amount,
          a.made_at, at)
  on conflict (id) do update
     set status = excluded.status,
         result = excluded.result,
         order_amount = excluded.order_amount,
         currency = excluded.currency,
         amount = excluded.amount,
         made_at = excluded.made_at,
         recorded_at = excluded.recorded_at;
  if result = 'unpaid' or result = known.result then
    return result;
  end if;

  if result = 'fulfilled' then
    update orders o
       set state = 'paid',
           paid_at = at,
           payment_session = null,
           reported_paid_at = null,
           check_at = at + interval '24 hours'
     where o.id = of_order;
    select greatest(at, max(e.ends_at)) into begins
      from entitlements e
     where e.user_id = bought.user_id and e.revoked_at is null;
    -- A revoked period may have begun at that time, and its credits may be spent: this one has an allowance of its own.
    while exists (select from entitlements e
                   where e.user_id = bought.user_id and e.plan = bought.plan and e.starts_at = begins) loop
      begins := begins + interval '1 microsecond';
    end loop;
    insert into entitlements (id, user_id, plan, credits, starts_at, ends_at, order_id)
    values (gen_random_uuid(), bought.user_id, bought.plan, bought.credits, begins,
            begins + bought.days * interval '24 hours', of_order);
  end if;
  insert into audit_log (user_id, at, kind, reference, details)
  values (bought.user_id, at, 'payment.' || result, of_order::text,
          jsonb_build_object('payment', a.payment, 'payer', bought.payer, 'orderAmount', a.order_amount,
                             'currency', a.currency));
  return result;
end
$$;
