-- Begins a turn: everything before the model is asked, in one statement, so that it costs one round trip and is one
-- transaction. Enters the session, decides who pays, reserves, stores the question and an open answer, and returns what
-- the prompt needs. Runs with the caller's rights, so row-level security holds inside.
--
-- `turn` is an object:
--
--   chat, title, answer, model   the chat (created with this title if it is new), the answer's id, the model
--   placement                    append   below the chat's head
--                                edit     in place of `question`, which is displaced to the id `displaced_id`
--                                regenerate  below the stored `question`, which is read and not stored again
--   question, parts              the question's id and its parts
--   context_size                 how many earlier messages to return
--   price, plan_rules            for `pay_for_turn`
--   idempotency_key              the client's name for the attempt, or nothing
--   orphaned_before              a streaming answer older than this is orphaned and blocks nothing
--
-- Rows, by `kind`: one `payment` with the decision; the earlier messages of the branch as `user` and `assistant`,
-- nearest first (for regenerate, the question itself comes first); `summary` with the branch's newest, if there is one.
--
-- Errors: US001 the session has ended; US002 no such chat; US003 no such question; US004 payment denied; US005 another
-- turn of the chat is running, whose answer is the error's detail; US006 duplicate: the attempt was made before, by its
-- idempotency key or because its question is stored. US005 and US006 come before anything that could be denied, so that
-- a retry of a turn that spent the last credit gets the turn and not a denial.
--
-- Does not wait for the disk: see docs/decisions/0003 for the reason and for what a crash may lose.
create or replace function begin_turn(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz, turn jsonb
) returns table (kind text, body jsonb, encrypted_key bytea[])
  language plpgsql
as $$
declare
  t             record;
  above         text;
  turns_held    integer;
  paid          record;
  is_duplicate  boolean;
  running       text;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform enter_session(of_user, with_session, at, idle_since);
  select * into t
    from jsonb_to_record(turn) as fields (
           chat text, title text, answer text, model text, placement text, question text, displaced_id text,
           parts jsonb, context_size integer, price integer, plan_rules jsonb, idempotency_key text,
           orphaned_before timestamptz
         );

  -- Locks the chat until the transaction ends: turns of one chat queue here, and each sees the head that the one
  -- before it has set.
  insert into chats (user_id, id, title, created_at, updated_at)
  values (of_user, t.chat, t.title, at, at)
  on conflict do nothing;
  select c.head_id, c.turns into above, turns_held
    from chats c
   where c.user_id = of_user and c.id = t.chat
     for update;
  if not found then
    raise exception 'chat not found' using errcode = 'US002';
  end if;

  -- A turn that broke off without a word is as good as none: its key is free for the next attempt.
  if t.idempotency_key is not null then
    update turns r
       set idempotency_key = null
      from messages m
     where r.user_id = of_user
       and r.idempotency_key = t.idempotency_key
       and r.state = 'released'
       and m.user_id = of_user
       and m.id = r.answer_id
       and m.status in ('failed', 'interrupted')
       and m.parts = '[]';
  end if;

  -- A statement of its own, so that its snapshot includes what the previous holder of the lock has committed.
  select (t.idempotency_key is not null and exists (
            select from turns r
             where r.user_id = of_user and r.idempotency_key = t.idempotency_key and r.state <> 'withdrawn'
         )) or (t.placement = 'append' and exists (
            select from messages m
             where m.user_id = of_user and m.id = t.question and m.chat_id = t.chat and m.role = 'user'
         )),
         (select m.id
            from messages m
           where m.user_id = of_user and m.id = above and m.status = 'streaming' and m.created_at > t.orphaned_before)
    into is_duplicate, running;
  if is_duplicate then
    raise exception 'duplicate turn' using errcode = 'US006';
  elsif running is not null then
    raise exception 'turn running' using errcode = 'US005', detail = running;
  end if;

  if t.placement <> 'append' then
    select case t.placement when 'edit' then m.parent_id else m.id end into above
      from messages m
     where m.user_id = of_user and m.id = t.question and m.chat_id = t.chat and m.role = 'user';
    if not found then
      raise exception 'message not found' using errcode = 'US003';
    end if;
  end if;

  paid := pay_for_turn(of_user, at, t, turns_held);
  if t.idempotency_key is not null then
    -- Race: a turn of another chat may claim the same key at this moment; the unique index decides.
    update turns r
       set idempotency_key = t.idempotency_key
     where r.user_id = of_user and r.answer_id = t.answer;
  end if;
  kind := 'payment';
  body := paid.decision;
  encrypted_key := paid.encrypted_key;
  return next;
  return query
    with recursive branch as (
      select m.parent_id, m.role, m.parts, 1 as depth
        from messages m
       where m.user_id = of_user and m.id = above and m.chat_id = t.chat
      union all
      select m.parent_id, m.role, m.parts, b.depth + 1
        from branch b
        join messages m on m.user_id = of_user and m.id = b.parent_id
       where b.depth < t.context_size
    )
    select branch.role, branch.parts, null::bytea[] from branch order by branch.depth;
  return query
    select 'summary', to_jsonb(s.content), null::bytea[]
      from summaries s
     where s.user_id = of_user and s.chat_id = t.chat
     order by s.created_at desc
     limit 1;

  if t.placement = 'edit' then
    update messages m set id = t.displaced_id where m.user_id = of_user and m.id = t.question;
  end if;
  if t.placement <> 'regenerate' then
    insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
    values (of_user, t.question, t.chat, above, 'user', 'complete', t.parts, at);
  end if;
  insert into messages (user_id, id, chat_id, parent_id, role, status, parts, model, created_at)
  values (of_user, t.answer, t.chat, t.question, 'assistant', 'streaming', '[]', t.model, at);
  update chats c
     set head_id = t.answer, updated_at = at, turns = turns_held + 1
   where c.user_id = of_user and c.id = t.chat;
end
$$;
