-- What the user's own key has spent in this calendar month (UTC), in billionths of a US dollar.
create or replace function spent_by_byok(of_user uuid, at timestamptz) returns bigint
  language sql stable
  return (select coalesce(sum(cost_nano_usd), 0)::bigint
            from byok_spending
           where user_id = of_user
             and month = date_trunc('month', at, 'UTC'));
