-- Allowances that can pay now, in the order in which they do: of the paid period, if there is one, then of the day.
-- One whose row is not created yet is returned with its whole grant. `day_credits` is the free plan's grant per day.
create or replace function current_allowances(of_user uuid, at timestamptz, day_credits integer)
  returns table (plan text, starts_at timestamptz, ends_at timestamptz, granted integer, balance integer)
  language sql stable
as $$
  with possible as (
    select 1 as rank, e.plan, e.starts_at, e.ends_at, e.credits from current_period(of_user, at) e
    union all
    select 2, 'free', date_trunc('day', at, 'UTC'), date_trunc('day', at, 'UTC') + interval '24 hours', day_credits
  )
  select p.plan, p.starts_at, p.ends_at, coalesce(a.granted, p.credits), coalesce(a.balance, p.credits)
    from possible p
    left join allowances a on a.user_id = of_user and a.plan = p.plan and a.starts_at = p.starts_at
   order by p.rank
$$;
