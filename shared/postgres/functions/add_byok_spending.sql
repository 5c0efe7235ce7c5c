-- Adds the cost of a turn that the user's own key (BYOK) has paid, in billionths of a US dollar, to its month's sum.
create or replace function add_byok_spending(of_user uuid, began timestamptz, cost bigint) returns void
  language plpgsql
as $$
begin
  insert into byok_spending as s (user_id, month, cost_nano_usd)
  values (of_user, date_trunc('month', began, 'UTC'), cost)
  on conflict (user_id, month) do update set cost_nano_usd = s.cost_nano_usd + excluded.cost_nano_usd;
end
$$;
