-- Reserves `price` credits of an allowance for a turn, and opens the turn. Creates the allowance with its grant on its
-- first use. Returns the remaining balance; null if the balance is too small, and then nothing was reserved.
--
-- The conditional update is the rule that concurrent turns cannot overspend; the primary key, that nothing is granted
-- twice. A successful reserve is one statement, because it precedes every first word.
create or replace function reserve_credits(
  of_user uuid, of_plan text, first_at timestamptz, until timestamptz, granting integer,
  price integer, in_chat text, answer text, asked_model text, at timestamptz
) returns integer
  language plpgsql
as $$
declare
  remaining integer;
begin
  for attempt in 1..2 loop
    with reserved as (
      update allowances
         set balance = balance - price
       where user_id = of_user and plan = of_plan and starts_at = first_at and balance >= price
      returning balance
    ), entered as (
      insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
      select of_user, of_plan, first_at, answer, 'reserve', -price, at from reserved
    ), opened as (
      insert into turns (user_id, answer_id, chat_id, model, paid_by, plan, starts_at, credits, state, began_at)
      select of_user, answer, in_chat, asked_model, 'credits', of_plan, first_at, price, 'open', at from reserved
    )
    select balance into remaining from reserved;
    if found then
      return remaining;
    end if;
    -- Race: the second of two concurrent grants waits here until the first commits, and then finds its row.
    insert into allowances (user_id, plan, starts_at, ends_at, granted, balance)
    values (of_user, of_plan, first_at, until, granting, granting)
    on conflict do nothing;
    if found then
      insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
      values (of_user, of_plan, first_at, 'grant', 'grant', granting, at);
    end if;
  end loop;
  return null;
end
$$;
