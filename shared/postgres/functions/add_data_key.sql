-- Adds a data key, or returns the one that its master key has already. Two statements, because the second one sees
-- what a concurrent call has committed while the first one waited for it.
create or replace function add_data_key(new_id uuid, under text, wrapped_key bytea, at timestamptz) returns data_keys
  language plpgsql
as $$
declare
  known data_keys;
begin
  insert into data_keys (id, master, wrapped, created_at)
  values (new_id, under, wrapped_key, at)
  on conflict (master) do nothing;
  select * into known from data_keys where master = under;
  return known;
end
$$;
