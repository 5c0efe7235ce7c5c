-- Enters the session of a user's request: sets the user for row-level security until the transaction ends, and raises
-- US001 if the session was revoked, has expired or was idle for too long. An error, and not a result, so that
-- statements that are pipelined behind it fail with it.
--
-- A session in use is touched every ten minutes at most, so that reads stay reads.
create or replace function enter_session(of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz)
  returns void
  language plpgsql
as $$
declare
  seen timestamptz;
begin
  perform set_config('app.user_id', of_user::text, true);
  select last_seen_at into seen
    from sessions
   where id = with_session and revoked_at is null and expires_at > at and last_seen_at > idle_since;
  if not found then
    raise exception 'session has ended' using errcode = 'US001';
  end if;
  if seen < at - interval '10 minutes' then
    update sessions set last_seen_at = at where id = with_session;
  end if;
end
$$;
