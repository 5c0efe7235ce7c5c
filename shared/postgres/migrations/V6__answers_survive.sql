-- An answer survives whatever happens to whoever makes it, and a chat has one turn at a time.
--
-- keeps data: nothing is dropped; what updates is inside functions.

-- By itself, whoever clears up sees which answers are open. This comes before the index: a lock that grows meets
-- who holds a weaker one and wants the same.
create policy messages_job on messages for select to app_job using (status = 'streaming');

-- What a job looks for. Almost nothing is in it.
create index answers_streaming on messages (created_at) where status = 'streaming';

-- Whoever gives an answer up knows the beginning of what was said, and more than one may: what says more
-- replaces what says less. As a trigger this sees what is stored when nobody else can change it any more, and
-- sees it for those who may not read it.
create function keep_longer() returns trigger
  language plpgsql
as $$
begin
  return null;
end
$$;

create trigger messages_keep_longer before update of parts on messages
  for each row
  when (old.status = 'interrupted' and new.status = 'interrupted' and length(new.parts::text) <= length(old.parts::text))
  execute function keep_longer();


-- `begin_turn` for one turn at a time. It raises US006 if this attempt has been made before: by its
-- `client_key` if it has one, or because its question is stored. It raises US005, with the answer in its
-- detail, if the chat's last turn has not ended, unless that began before `running_since` and is dead.
--
-- Both come before anything that the attempt could be refused for: who asks again what was answered with
-- their last credit is told what they were told before.
--
-- The one without the last two is for functions that are being replaced while this is deployed.
create function begin_turn(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz,
  chat text, first_title text, place text, question text, aside text,
  question_parts jsonb, answer text, asked_model text, context_size integer, price integer, terms jsonb,
  client_key text, running_since timestamptz
) returns table (said_by text, said jsonb, sealed bytea[])
  language plpgsql
as $$
declare
  above     text;
  held      integer;
  paid      record;
  is_known  boolean;
  running   text;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform enter_session(of_user, with_session, at, idle_since);

  -- Locked until the end: one turn at a time finds its place, and the next one sees where this one
  -- has put the head. A chat that is somebody else's is not there. Of two who make it at once, the second
  -- may meet either of its unique keys.
  insert into chats (id, user_id, title, created_at, updated_at)
  values (chat, of_user, first_title, at, at)
  on conflict do nothing;
  select c.head_id, c.turns into above, held from chats c where c.id = chat for update;
  if not found then
    raise exception 'chat not found' using errcode = 'US002';
  end if;

  -- A turn that broke off without a word is as good as none: its key is for the next attempt.
  if client_key is not null then
    update turns t
       set idempotency_key = null
      from messages m
     where t.user_id = of_user
       and t.idempotency_key = client_key
       and t.state = 'released'
       and m.id = t.answer_id
       and m.status in ('failed', 'interrupted')
       and m.parts = '[]';
  end if;

  -- A statement of its own: it sees what whoever held the lock has committed.
  select (client_key is not null and exists (
            select from turns t
             where t.user_id = of_user and t.idempotency_key = client_key and t.state <> 'withdrawn'
         )) or (place = 'next' and exists (
            select from messages m where m.id = question and m.chat_id = chat and m.role = 'user'
         )),
         (select m.id
            from messages m
           where m.id = above and m.status = 'streaming' and m.created_at > running_since)
    into is_known, running;
  if is_known then
    raise exception 'turn repeated' using errcode = 'US006';
  elsif running is not null then
    raise exception 'turn running' using errcode = 'US005', detail = running;
  end if;

  if place <> 'next' then
    select case place when 'instead' then m.parent_id else m.id end into above
      from messages m
     where m.id = question and m.chat_id = chat and m.role = 'user';
    if not found then
      raise exception 'message not found' using errcode = 'US003';
    end if;
  end if;

  paid := pay_for_turn(of_user, at, chat, held, answer, asked_model, price, terms);
  if client_key is not null then
    -- In another chat, the same key may have come first at this moment.
    update turns set idempotency_key = client_key where answer_id = answer;
  end if;
  said_by := 'paid';
  said := paid.receipt;
  sealed := paid.sealed;
  return next;
  return query
    with recursive branch as (
      select m.parent_id, m.role, m.parts, 1 as depth
        from messages m
       where m.id = above and m.chat_id = chat
      union all
      select m.parent_id, m.role, m.parts, b.depth + 1
        from branch b
        join messages m on m.id = b.parent_id
       where b.depth < context_size
    )
    select branch.role, branch.parts, null::bytea[] from branch order by branch.depth;
  return query
    select 'summary', to_jsonb(s.content), null::bytea[]
      from summaries s
     where s.chat_id = chat
     order by s.created_at desc
     limit 1;

  if place = 'instead' then
    update messages set id = aside where id = question;
  end if;
  if place <> 'again' then
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, created_at)
    values (question, chat, of_user, above, 'user', 'complete', question_parts, at);
  end if;
  insert into messages (id, chat_id, user_id, parent_id, role, status, parts, model, created_at)
  values (answer, chat, of_user, question, 'assistant', 'streaming', '[]', asked_model, at);
  update chats set head_id = answer, updated_at = at, turns = held + 1 where id = chat;
end
$$;


-- Closes an answer and ends its turn. `ending` is what becomes of what was reserved. Answers with
--
--   now        it was open, or had been given up as interrupted, and this is how it really ended, or says more
--   same       it ended like this already: whoever did it was not told
--   other      it ended in another way already
--   gone       the message was deleted, and its turn has ended now
--   long gone  the message was deleted, and its turn had ended
--   unknown    there is no such turn
--
-- Whoever comes second waits for the first at the message, and then sees what became of it.
create function finish_turn(
  answer text, outcome text, ending text, said jsonb, by_model text, generation text, reason text, error text,
  prompt integer, completion integer, reasoning integer, cached integer, cost bigint, at timestamptz
) returns text
  language plpgsql
as $$
declare
  stored   record;
  as_this  text;
begin
  update messages
     set status = outcome,
         parts = said,
         model = coalesce(by_model, model),
         generation_id = coalesce(generation, generation_id),
         finish_reason = reason,
         error_code = error,
         prompt_tokens = coalesce(prompt_tokens, prompt),
         completion_tokens = coalesce(completion_tokens, completion),
         reasoning_tokens = coalesce(reasoning_tokens, reasoning),
         cached_tokens = coalesce(cached_tokens, cached),
         cost_nano_usd = coalesce(cost_nano_usd, cost),
         finished_at = at
   where id = answer
     and status in ('streaming', 'interrupted');
  if found then
    as_this := 'now';
  else
    select status, finished_at into stored from messages where id = answer;
    if found then
      return case when (stored.status, stored.finished_at) = (outcome, at) then 'same' else 'other' end;
    end if;
    perform from turns where answer_id = answer;
    if not found then
      return 'unknown';
    end if;
    as_this := 'gone';
  end if;
  if end_turn(answer, at, ending, prompt, completion, reasoning, cached, cost, generation) = 0 and as_this = 'gone' then
    return 'long gone';
  end if;
  return as_this;
end
$$;


-- Fills in what a turn took, in its answer too, which may be deleted.
create function price_turn(
  of_user uuid, answer text, prompt integer, completion integer, reasoning integer, cached integer, cost bigint
) returns void
  language plpgsql
as $$
begin
  perform set_config('app.user_id', of_user::text, true);
  update messages
     set prompt_tokens = coalesce(prompt_tokens, prompt),
         completion_tokens = coalesce(completion_tokens, completion),
         reasoning_tokens = coalesce(reasoning_tokens, reasoning),
         cached_tokens = coalesce(cached_tokens, cached),
         cost_nano_usd = coalesce(cost_nano_usd, cost)
   where id = answer;
  perform count_turn(answer, prompt, completion, reasoning, cached, cost, null);
end
$$;


-- Makes a turn anew that the database has forgotten: it crashed before the turn's beginning was on disk
-- (docs/decisions/0003). The answer is open after that, and free, because what was reserved is forgotten
-- too.
--
-- Its row in `turns` is a withdrawn one, which nothing counts, and whose payer says nothing. It is what makes
-- this happen once: whoever comes second waits for it, and does nothing; and it stays when the chat is deleted.
--
-- People may have gone on meanwhile. Nothing that is newer than the turn is moved for it, least of all the
-- head: then it is a branch that stands beside theirs.
create function restore_turn(
  of_user uuid, chat text, first_title text, place text, question text, aside text,
  question_parts jsonb, answer text, asked_model text, began timestamptz
) returns void
  language plpgsql
as $$
declare
  head    text;
  above   text;
  asked   record;
  as_id   text := question;
  is_new  boolean;
begin
  perform from users where id = of_user;
  if not found then
    return;
  end if;
  insert into turns (answer_id, user_id, chat_id, model, paid_by, credits, state, began_at, ended_at)
  values (answer, of_user, chat, asked_model, 'byok', 0, 'withdrawn', began, began)
  on conflict do nothing;
  if not found then
    return;
  end if;

  insert into chats (id, user_id, title, created_at, updated_at)
  values (chat, of_user, first_title, began, began)
  on conflict do nothing;
  select c.head_id into head from chats c where c.id = chat for update;
  if not found then
    raise exception 'chat not found' using errcode = 'US002';
  end if;
  perform from messages m where m.id = head and m.created_at >= began;
  is_new := not found;

  select m.parent_id, m.created_at >= began as is_newer into asked
    from messages m
   where m.id = question and m.chat_id = chat and m.role = 'user';
  if not found then
    -- Below the head, or below what was the head when this was asked.
    select m.id into above
      from messages m
     where m.chat_id = chat and m.created_at < began
     order by (m.id is not distinct from head) desc, m.created_at desc, m.role
     limit 1;
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, created_at)
    values (question, chat, of_user, above, 'user', 'complete', question_parts, began);
  elsif place = 'instead' then
    -- One that was edited once more since has the id; then this is the one that steps aside.
    if asked.is_newer then
      as_id := aside;
    else
      update messages set id = aside where id = question;
    end if;
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, created_at)
    values (as_id, chat, of_user, asked.parent_id, 'user', 'complete', question_parts, began);
  end if;
  insert into messages (id, chat_id, user_id, parent_id, role, status, parts, model, created_at)
  values (answer, chat, of_user, as_id, 'assistant', 'streaming', '[]', asked_model, began);
  update chats
     set head_id = case when is_new then answer else head_id end,
         updated_at = greatest(updated_at, began),
         turns = turns + 1
   where id = chat;
end
$$;


-- Whoever clears up stores answers of all users, and reads none: it may not select `parts`. What it writes,
-- it writes as the user whose it is (`messages_own`, `chats_own`, `users_own`).
grant select (id) on users to app_job;
grant select (id, head_id, turns, updated_at),
      insert (id, user_id, title, created_at, updated_at),
      update (head_id, turns, updated_at)
   on chats to app_job;
grant select (id, chat_id, user_id, parent_id, role, status, model, generation_id, prompt_tokens, completion_tokens,
              reasoning_tokens, cached_tokens, cost_nano_usd, created_at, finished_at),
      insert (id, chat_id, user_id, parent_id, role, status, parts, model, created_at),
      update (id, status, parts, model, generation_id, finish_reason, error_code, prompt_tokens, completion_tokens,
              reasoning_tokens, cached_tokens, cost_nano_usd, finished_at)
   on messages to app_job;
