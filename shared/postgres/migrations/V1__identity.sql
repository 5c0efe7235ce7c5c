-- Roles, users and sessions, with row-level security from the first table on.
--
-- Every tenant table has forced row-level security keyed on `app.user_id`, a setting that lives as long as one
-- transaction. The application's roles own nothing, so they cannot switch it off; a query that forgets its `where`
-- reads the rows of one user, and a connection without the setting reads none.
--
-- Functions that are called by policies are defined here, because a policy cannot be created without them. All other
-- functions are in ../functions, one file each, in their current text.

do $$
declare
  app_role text;
begin
  -- `app_user` serves users' requests; `app_job` runs background jobs and is granted tables one by one.
  foreach app_role in array array['app_user', 'app_job'] loop
    -- Roles belong to the server, not to the database: another database may have created them already, or be doing
    -- so at this moment.
    begin
      if not exists (select from pg_roles where rolname = app_role) then
        execute format('create role %I login nosuperuser nocreatedb nocreaterole nobypassrls', app_role);
      end if;
    exception
      when duplicate_object or unique_violation then null;
    end;
  end loop;
end
$$;

revoke all on schema public from public;
grant usage on schema public to app_user, app_job;

-- Policies call this as it is, without a sub-select: rows are looked up by keys that begin with the user, so it becomes a
-- condition of the index; a sub-select would be a plan node of its own for each table of each statement.
--
-- `nullif`: a setting that was once set in a connection reads as '' after its transaction.
create function current_user_id() returns uuid
  language sql stable parallel safe
  return nullif(current_setting('app.user_id', true), '')::uuid;

-- The address whose ownership was just proved by a one-time code. Set by `sign_in` only.
create function current_login_email() returns text
  language sql stable parallel safe
  return nullif(current_setting('app.login_email', true), '');


create table users (
  id          uuid        primary key,
  email       text        not null unique check (email = lower(email) and length(email) <= 254),
  name        text        check (length(name) between 1 and 100),
  created_at  timestamptz not null
);

alter table users enable row level security;
alter table users force row level security;
create policy users_own on users
  using (id = current_user_id())
  with check (id = current_user_id());
create policy users_login on users
  using (email = current_login_email())
  with check (email = current_login_email());


-- One row per login: the source of truth about revocation.
create table sessions (
  id            uuid        primary key,
  user_id       uuid        not null references users (id) on delete cascade,
  user_agent    text        check (length(user_agent) <= 300),
  created_at    timestamptz not null,
  last_seen_at  timestamptz not null,
  expires_at    timestamptz not null,
  revoked_at    timestamptz
);

create index sessions_by_user on sessions (user_id, created_at, id);

alter table sessions enable row level security;
alter table sessions force row level security;
create policy sessions_own on sessions
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


grant select, insert, update, delete on users, sessions to app_user;
grant select (id) on users to app_job;
