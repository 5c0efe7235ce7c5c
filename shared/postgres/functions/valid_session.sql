-- The session, if it was not revoked, has not expired and was not idle for too long; else no row. `is_touch_due` says
-- whether its use has to be noted: every ten minutes at most, so that reads stay reads.
create or replace function valid_session(with_session uuid, at timestamptz, idle_since timestamptz)
  returns table (is_touch_due boolean)
  language sql stable
as $$
  select last_seen_at < at - interval '10 minutes'
    from sessions
   where id = with_session and revoked_at is null and expires_at > at and last_seen_at > idle_since
$$;
