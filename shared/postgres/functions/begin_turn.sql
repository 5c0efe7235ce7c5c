-- Begins a turn, in one statement, so that it costs one round trip. Enters the session, decides who pays, reserves, stores
-- the question and an open answer, and returns what the prompt needs. Runs with the caller's rights, so row-level security
-- holds inside. Every first word waits for it, so it is few statements: each costs some 30 µs, whatever it does.
-- `predict_turn` runs before it in the same transaction, and decides nothing here.
--
-- `turn` is an object:
--
--   chat, title, answer, model   the chat (created with this title if it is new), the answer's id, the model
--   placement                    append   below the chat's head
--                                edit     in place of `question`, which is displaced to the id `displaced_id`
--                                regenerate  below the stored `question`, which is read and not stored again
--   question, parts              the question's id and its parts
--   files                        the uploads that a new question has, or nothing (`attach_files`)
--   uploads_expired_before       with files: a pending upload from before this has expired
--   context_size                 how many earlier messages to return
--   price, plan_rules            for `pay_for_turn`
--   idempotency_key              the client's name for the attempt, or nothing
--   orphaned_before              a streaming answer older than this is orphaned and blocks nothing
--
-- Rows, by `kind`: one `payment` with the decision; of a new question with files, one `question` with its parts as they are
-- stored; then those of `turn_context` (for regenerate, the question itself comes first).
--
-- Errors: US001 the session has ended; US002 no such chat; US003 no such question; US004 payment denied; US005 another
-- turn of the chat is running, whose answer is the error's detail; US006 duplicate: the attempt was made before, by its
-- idempotency key or because its question is stored; and those of `attach_files`. US005 and US006 come before anything that
-- could be denied, so that a retry of a turn that spent the last credit gets the turn and not a denial.
--
-- Does not wait for the disk: see docs/decisions/0003 for the reason and for what a crash may lose.
create or replace function begin_turn(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz, turn jsonb
) returns table (kind text, body jsonb, encrypted_key bytea[])
  language plpgsql
as $$
declare
  in_chat      text := turn ->> 'chat';
  placement    text := turn ->> 'placement';
  question     text := turn ->> 'question';
  attempt_key  text := turn ->> 'idempotency_key';
  above        text;
  turns_held   integer;
  own          record;
  paid         record;
begin
  -- Assignments, which plpgsql evaluates without running a query.
  kind := set_config('synchronous_commit', 'off', true);
  kind := set_config('app.user_id', of_user::text, true);

  -- Locks the chat until the transaction ends: turns of one chat queue here, and each sees the head that the one
  -- before it has set.
  select c.head_id, c.turns into above, turns_held
    from chats c
   where c.user_id = of_user and c.id = in_chat
     for update;
  if not found then
    insert into chats (user_id, id, title, created_at, updated_at)
    values (of_user, in_chat, turn ->> 'title', at, at)
    on conflict do nothing;
    if found then
      turns_held := 0;
    else
      -- Race: another turn has just created it.
      select c.head_id, c.turns into above, turns_held
        from chats c
       where c.user_id = of_user and c.id = in_chat
         for update;
      if not found then
        raise exception 'chat not found' using errcode = 'US002';
      end if;
    end if;
  end if;

  -- A statement of its own, so that its snapshot includes what the previous holder of the lock has committed.
  select * into own from turn_inputs(of_user, with_session, at, idle_since, in_chat, above, question);
  if not found then
    raise exception 'session has ended' using errcode = 'US001';
  end if;
  if own.is_touch_due then
    update sessions set last_seen_at = at where id = with_session;
  end if;

  if attempt_key is not null and not free_idempotency_key(of_user, attempt_key) then
    raise exception 'duplicate turn' using errcode = 'US006';
  elsif placement = 'append' and own.is_stored then
    raise exception 'duplicate turn' using errcode = 'US006';
  elsif own.head_status = 'streaming' and own.head_at > (turn ->> 'orphaned_before')::timestamptz then
    raise exception 'turn running' using errcode = 'US005', detail = above;
  end if;
  if placement <> 'append' then
    if own.is_stored is not true then
      raise exception 'message not found' using errcode = 'US003';
    end if;
    above := case placement when 'edit' then own.parent_id else question end;
  end if;

  if turn ? 'files' then
    turn := jsonb_set(turn, '{parts}', attach_files(of_user, turn));
  end if;
  paid := pay_for_turn(of_user, at, turn, own, above, turns_held);
  kind := 'payment';
  body := paid.decision;
  encrypted_key := paid.encrypted_key;
  return next;
  if turn ? 'files' then
    kind := 'question';
    body := turn -> 'parts';
    encrypted_key := null;
    return next;
  end if;
  return query
    select c.kind, c.body, null::bytea[] from turn_context(of_user, in_chat, above, (turn ->> 'context_size')::integer) c;
end
$$;
