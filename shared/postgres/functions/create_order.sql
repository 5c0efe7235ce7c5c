-- Creates an order of a user, or returns the one that takes its place. `origin` says which:
--
--   new      it was created
--   known    the idempotency key has created it before. A key whose order is over is free again, and so is that of the
--            order that is to be replaced
--   open     the plan's open order: there is one at most. It is replaced, if it is `replaces`; unless it was paid meanwhile
--
-- `wanted` is an object: id, plan, price_paise, days, credits, mode, expires_at, payer (of the user, if this is the first
-- order), idempotency_key and replaces (an open order) or nothing, has_phone (if not, one has to be stored), per_hour and
-- per_day (the most orders in any hour and any 24 hours).
--
-- Errors: US007 too many orders; the error's detail is JSON, `limit` and `window` and `retry_after` in seconds. US008 there
-- is no phone number.
create or replace function create_order(of_user uuid, at timestamptz, wanted jsonb)
  returns table (origin text, id uuid)
  language plpgsql
as $$
declare
  w           record;
  known       orders;
  contact     record;
  exhausted   record;
begin
  select * into w
    from jsonb_to_record(wanted) as fields (
           id uuid, plan text, price_paise integer, days integer, credits integer, mode text, expires_at timestamptz, payer uuid,
           idempotency_key text, replaces uuid, has_phone boolean, per_hour bigint, per_day bigint
         );
  insert into billing_contacts (payer, user_id) values (w.payer, of_user) on conflict (user_id) do nothing;
  -- Orders of one user queue here, and each sees what the one before it has committed.
  select c.payer, c.phone is not null as has_phone into contact from billing_contacts c where c.user_id = of_user for update;

  select * into known from orders o where o.user_id = of_user and o.idempotency_key = w.idempotency_key;
  if found and (known.state in ('expired', 'terminated') or known.id = w.replaces and known.state <> 'paid') then
    update orders o set idempotency_key = null where o.id = known.id;
  elsif found then
    return query select case known.id when w.id then 'new' else 'known' end, known.id;
    return;
  end if;
  select * into known from orders o where o.user_id = of_user and o.id = w.replaces and o.state = 'paid';
  if found then
    return query select 'open', known.id;
    return;
  end if;
  select * into known
    from orders o
   where o.user_id = of_user and o.plan = w.plan and o.state in ('created', 'active');
  if found and known.id is distinct from w.replaces then
    return query select case known.id when w.id then 'new' else 'open' end, known.id;
    return;
  end if;

  if not (w.has_phone or contact.has_phone) then
    raise exception 'phone needed' using errcode = 'US008';
  end if;

  -- Waits until the oldest order that counts is out of its window.
  select l.most, l.in_window, extract(epoch from n.created_at + l.in_window - at) as wait into exhausted
    from (values (w.per_hour, interval '1 hour'), (w.per_day, interval '24 hours')) as l (most, in_window),
         lateral (
           select o.created_at
             from orders o
            where o.user_id = of_user and o.created_at > at - l.in_window
            order by o.created_at desc, o.id desc
           offset l.most - 1
            limit 1
         ) n
   order by wait desc
   limit 1;
  if found then
    raise exception 'too many orders' using errcode = 'US007', detail = jsonb_build_object(
      'limit', exhausted.most, 'window', extract(epoch from exhausted.in_window)::bigint,
      'retry_after', ceil(exhausted.wait)::bigint
    );
  end if;

  update orders o set state = 'terminated' where o.id = w.replaces and o.id = known.id;
  insert into orders (id, user_id, payer, plan, price_paise, days, credits, mode, state, idempotency_key, created_at,
                      expires_at, check_at)
  values (w.id, of_user, contact.payer, w.plan, w.price_paise, w.days, w.credits, w.mode, 'created', w.idempotency_key,
          at, w.expires_at, at + interval '10 minutes');
  return query select 'new', w.id;
end
$$;
