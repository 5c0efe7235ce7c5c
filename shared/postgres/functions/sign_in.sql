-- Creates or finds the user of an address whose ownership was just proved, and opens a session. Returns the user.
create or replace function sign_in(
  address text, new_user uuid, new_session uuid, browser text, at timestamptz, until timestamptz
) returns users
  language plpgsql
as $$
declare
  found_user users;
begin
  perform set_config('app.login_email', address, true);
  -- The update changes nothing: it makes `returning` yield the row of an existing user.
  insert into users (id, email, created_at)
  values (new_user, address, at)
  on conflict (email) do update set email = excluded.email
  returning * into found_user;
  perform set_config('app.user_id', found_user.id::text, true);
  insert into sessions (id, user_id, user_agent, created_at, last_seen_at, expires_at)
  values (new_session, found_user.id, browser, at, at, until);
  return found_user;
end
$$;
