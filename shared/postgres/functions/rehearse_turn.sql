-- Predicts, begins and finishes a turn of a user who is rolled back again, so that this connection has planned every
-- statement of a turn: plpgsql plans each when it first runs, and the first turn of a connection would take several times
-- as long.
create or replace function rehearse_turn() returns void
  language plpgsql
as $$
declare
  actor    uuid := gen_random_uuid();
  session  uuid := gen_random_uuid();
  turn     jsonb;
begin
  perform set_config('app.user_id', actor::text, true);
  begin
    insert into users (id, email, created_at) values (actor, actor::text, now());
    insert into sessions (id, user_id, created_at, last_seen_at, expires_at)
    values (session, actor, now(), now(), now() + interval '1 minute');
    -- The second one finds its chat and its allowance, as most do.
    for number in 1..2 loop
      turn := jsonb_build_object(
        'chat', 'rehearsal', 'title', '', 'answer', 'answer-0' || number, 'model', '', 'placement', 'append',
        'question', 'question-0' || number, 'parts', '[]'::jsonb, 'context_size', 1, 'price', 1,
        'plan_rules', '{"free": {"includes": true, "fits": true, "turns": 9, "credits": 9}}'::jsonb,
        'orphaned_before', now()
      );
      perform from predict_turn(actor, session, now(), now() - interval '1 minute', turn);
      perform from begin_turn(actor, session, now(), now() - interval '1 minute', turn);
      perform finish_turn(actor, 'answer-0' || number, now(), '{"status": "complete", "turn_state": "settled", "parts": []}');
    end loop;
    raise exception 'rehearsed' using errcode = 'US000';
  exception
    when sqlstate 'US000' then null;
  end;
end
$$;
