-- Enters the session of a user's request: sets the user for row-level security until the transaction ends, and raises
-- US001 if the session is not valid any more. An error, and not a result, so that statements that are pipelined behind it
-- fail with it. (`begin_turn` does the same with what `turn_inputs` returns.)
create or replace function enter_session(of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz)
  returns void
  language plpgsql
as $$
declare
  session record;
begin
  perform set_config('app.user_id', of_user::text, true);
  select is_touch_due into session from valid_session(with_session, at, idle_since);
  if not found then
    raise exception 'session has ended' using errcode = 'US001';
  end if;
  if session.is_touch_due then
    update sessions set last_seen_at = at where id = with_session;
  end if;
end
$$;
