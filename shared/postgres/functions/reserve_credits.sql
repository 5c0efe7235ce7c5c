-- Reserves `price` credits of an allowance. Creates the allowance with its grant on its first use. Returns the remaining
-- balance; null if the balance is too small, and then nothing was reserved. `store_turn` enters it in the ledger.
--
-- The conditional update is the rule that concurrent turns cannot overspend; the primary key, that nothing is granted
-- twice.
create or replace function reserve_credits(
  of_user uuid, of_plan text, first_at timestamptz, until timestamptz, granting integer, price integer, at timestamptz
) returns integer
  language plpgsql
as $$
declare
  remaining integer;
begin
  for attempt in 1..2 loop
    update allowances
       set balance = balance - price
     where user_id = of_user and plan = of_plan and starts_at = first_at and balance >= price
    returning balance into remaining;
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
