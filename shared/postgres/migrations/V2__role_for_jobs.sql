-- Whoever works without a user asking logs in as this role. It sees nothing until a migration gives
-- it a table, by name.

do $$
begin
  if not exists (select from pg_roles where rolname = 'app_job') then
    create role app_job login nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
exception
  when duplicate_object or unique_violation then null;
end
$$;
