-- Restores and finishes a turn that the database lost: it crashed before the turn's beginning was on disk
-- (docs/decisions/0003). The turn is free, because its reservation is lost too. Returns what `finish_turn` returns;
-- `unknown` if its user is deleted.
--
-- `turn` is an object: chat, title, answer, model, placement, question, displaced_id, parts (those of its files
-- included), files, as in `begin_turn`, and began_at. `turn_end` is as in `finish_turn`.
--
-- Its row in `turns` is a withdrawn one, which no limit counts. It makes this happen once: a concurrent call waits for
-- it and then does nothing; and it stays when the chat is deleted.
--
-- The chat may have gone on meanwhile. No message that is newer than the turn is moved, least of all the head: the
-- restored turn becomes a branch beside them.
create or replace function restore_turn(of_user uuid, at timestamptz, turn jsonb, turn_end jsonb) returns text
  language plpgsql
as $$
declare
  t         record;
  head      text;
  above     text;
  asked     record;
  question  text;
  is_new    boolean;
  parts     jsonb;
  file      uuid;
begin
  perform set_config('app.user_id', of_user::text, true);
  select * into t
    from jsonb_to_record(turn) as fields (
           chat text, title text, answer text, model text, placement text, question text, displaced_id text,
           parts jsonb, began_at timestamptz
         );
  question := t.question;
  parts := t.parts;
  perform from users where id = of_user;
  if not found then
    return 'unknown';
  end if;
  -- Like what begins, withdraws and deletes: one after the other, no deadlock.
  perform queue_turns(of_user);
  insert into turns (user_id, answer_id, chat_id, model, paid_by, credits, state, began_at, ended_at)
  values (of_user, t.answer, t.chat, t.model, 'byok', 0, 'withdrawn', t.began_at, t.began_at)
  on conflict do nothing;
  if not found then
    return finish_turn(of_user, t.answer, at, turn_end);
  end if;

  insert into chats (user_id, id, title, created_at, updated_at)
  values (of_user, t.chat, t.title, t.began_at, t.began_at)
  on conflict do nothing;
  select c.head_id into head from chats c where c.user_id = of_user and c.id = t.chat for update;
  if not found then
    raise exception 'chat not found' using errcode = 'US002';
  end if;
  perform from messages m where m.user_id = of_user and m.id = head and m.created_at >= t.began_at;
  is_new := not found;

  -- What was deleted meanwhile. The others are locked, so that they are there until the question is stored.
  for file in select value::uuid from jsonb_array_elements_text(coalesce(turn -> 'files', '[]')) loop
    perform from uploads u where u.user_id = of_user and u.id = file and u.state = 'ready' for share;
    if not found then
      parts := without_file(parts, file);
    end if;
  end loop;

  select m.parent_id, m.created_at >= t.began_at as is_newer into asked
    from messages m
   where m.user_id = of_user and m.id = t.question and m.chat_id = t.chat and m.role = 'user';
  if not found then
    -- Below the head, or below the message that was the head at that time.
    select m.id into above
      from messages m
     where m.user_id = of_user and m.chat_id = t.chat and m.created_at < t.began_at
     order by (m.id is not distinct from head) desc, m.created_at desc, m.role
     limit 1;
    insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
    values (of_user, question, t.chat, above, 'user', 'complete', parts, t.began_at);
  elsif t.placement = 'edit' then
    -- A later edit owns the id; then the restored question is the displaced one.
    if asked.is_newer then
      question := t.displaced_id;
    else
      update messages m set id = t.displaced_id where m.user_id = of_user and m.id = t.question;
    end if;
    insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
    values (of_user, question, t.chat, asked.parent_id, 'user', 'complete', parts, t.began_at);
  end if;
  if turn ? 'files' then
    perform link_files(of_user, question, turn -> 'files');
  end if;
  insert into messages (user_id, id, chat_id, parent_id, role, status, parts, model, created_at)
  values (of_user, t.answer, t.chat, question, 'assistant', 'streaming', '[]', t.model, t.began_at);
  update chats c
     set head_id = case when is_new then t.answer else c.head_id end,
         updated_at = greatest(c.updated_at, t.began_at),
         turns = c.turns + 1
   where c.user_id = of_user and c.id = t.chat;
  return finish_turn(of_user, t.answer, at, turn_end);
end
$$;
