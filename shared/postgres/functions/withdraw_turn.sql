-- Withdraws a turn that was never sent to a model, as if it had not begun: removes its messages, moves the chat's head
-- back and releases the credits. Where another turn has begun below it meanwhile, its messages stay, and the answer has
-- failed with `code`. Changes nothing if the turn did not begin, or is withdrawn already: a connection may have died
-- without saying which.
--
-- `turn` is an object: chat, answer, placement, question, displaced_id, as in `begin_turn`.
create or replace function withdraw_turn(of_user uuid, at timestamptz, code text, turn jsonb) returns void
  language plpgsql
as $$
declare
  t         record;
  added     text[];
  attached  jsonb;
begin
  perform set_config('app.user_id', of_user::text, true);
  select * into t
    from jsonb_to_record(turn) as fields (chat text, answer text, placement text, question text, displaced_id text);
  added := case t.placement when 'regenerate' then array[t.answer] else array[t.question, t.answer] end;

  -- The transaction that begins the turn may still run, though its connection is dead. Waiting for it here, and not at the
  -- chat's row, lets the statements below see what it has stored.
  perform queue_turns(of_user);
  update chats c
     set turns = case when exists (select from messages m where m.user_id = of_user and m.id = t.answer)
                      then greatest(c.turns - 1, 0) else c.turns end,
         head_id = case when c.head_id <> all (added) then c.head_id
                        else (select m.id
                                from messages m
                               where m.user_id = of_user
                                 and m.chat_id = t.chat
                                 and m.id <> all (added)
                               order by m.created_at desc, m.role
                               limit 1)
                   end
   where c.user_id = of_user and c.id = t.chat;
  select jsonb_agg(f.upload_id) into attached
    from message_files f
   where f.user_id = of_user and f.message_id = t.question;
  delete from messages m
   where m.user_id = of_user
     and m.id = any (added)
     and exists (select from messages a where a.user_id = of_user and a.id = t.answer)
     and not exists (select
                       from messages below
                      where below.user_id = of_user
                        and below.parent_id = any (added)
                        and below.id <> all (added));
  update messages m
     set status = 'failed',
         error_code = code,
         finished_at = m.created_at
   where m.user_id = of_user
     and m.id = t.answer
     and m.status = 'streaming';
  if t.placement = 'edit' then
    -- Gives the displaced question its id back, unless the edit stays.
    update messages m
       set id = t.question
     where m.user_id = of_user
       and m.id = t.displaced_id
       and m.chat_id = t.chat
       and not exists (select from messages q where q.user_id = of_user and q.id = t.question);
  end if;
  delete from chats c
   where c.user_id = of_user
     and c.id = t.chat
     and not exists (select from messages m where m.user_id = of_user and m.chat_id = t.chat);
  -- Files of a question that was never asked wait to be sent, as before.
  update uploads u
     set removal_at = null
   where u.user_id = of_user
     and u.state = 'ready'
     and u.removal_at is not null
     and attached ? u.id::text;
  perform end_turn(of_user, t.answer, at, 'withdrawn', null, null);
end
$$;
