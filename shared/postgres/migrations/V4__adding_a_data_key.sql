-- One way in for a data key, instead of a statement and what its callers did when it answered nothing.

-- Adds a data key, or answers with the one that its master key has already. Two statements: the second
-- sees what whoever was first has committed while the first waited for them.
create function add_data_key(new_id uuid, under text, wrapped_key bytea, at timestamptz) returns data_keys
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
