-- Finishes a turn: stores the answer, ends the turn and its payment. Not within the user's session: an answer is stored
-- although its user has logged out meanwhile.
--
-- `turn_end` is an object:
--
--   status                   the answer's: complete, stopped, interrupted or failed
--   turn_state               the turn's: settled or released
--   parts, model, generation_id, finish_reason, error_code
--   usage                    prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_nano_usd, as far
--                            as they are known
--   refused_key              hex of the nonce of the own key that the provider refused, or nothing
--
-- Returns
--
--   stored           the answer was open, or interrupted and this is its true end, or more of its text
--   duplicate        idempotent retry: the same end was committed before, but the acknowledgement was lost
--   superseded       it ended in another way before
--   deleted          the message was deleted; its turn has ended now
--   already_deleted  the message was deleted, and its turn had ended
--   unknown          there is no such turn
--
-- Races: the second of two concurrent calls waits for the first at the message's lock, and then sees its result. A
-- concurrent `restore_turn` adds turn and message together, so that one statement has to read both: read one after the
-- other, a message that was restored in between would be taken for a deleted one.
create or replace function finish_turn(of_user uuid, answer text, at timestamptz, turn_end jsonb) returns text
  language plpgsql
as $$
declare
  e       record;
  stored  record;
  result  text;
begin
  perform set_config('app.user_id', of_user::text, true);
  select * into e
    from jsonb_to_record(turn_end) as fields (
           status text, turn_state text, parts jsonb, model text, generation_id text, finish_reason text,
           error_code text, usage jsonb, refused_key text
         );
  if e.refused_key is not null then
    update provider_keys k
       set refused_at = at
     where k.user_id = of_user
       and k.nonce = decode(e.refused_key, 'hex')
       and k.refused_at is null;
  end if;
  update messages m
     set status = e.status,
         parts = e.parts,
         model = coalesce(e.model, m.model),
         generation_id = coalesce(e.generation_id, m.generation_id),
         finish_reason = e.finish_reason,
         error_code = e.error_code,
         prompt_tokens = coalesce(m.prompt_tokens, (e.usage ->> 'prompt_tokens')::integer),
         completion_tokens = coalesce(m.completion_tokens, (e.usage ->> 'completion_tokens')::integer),
         reasoning_tokens = coalesce(m.reasoning_tokens, (e.usage ->> 'reasoning_tokens')::integer),
         cached_tokens = coalesce(m.cached_tokens, (e.usage ->> 'cached_tokens')::integer),
         cost_nano_usd = coalesce(m.cost_nano_usd, (e.usage ->> 'cost_nano_usd')::bigint),
         finished_at = at
   where m.user_id = of_user
     and m.id = answer
     and m.status in ('streaming', 'interrupted');
  if found then
    result := 'stored';
  else
    select m.id is not null as has_answer, (m.status, m.finished_at) = (e.status, at) as is_same into stored
      from turns t
      left join messages m on m.user_id = of_user and m.id = answer
     where t.user_id = of_user and t.answer_id = answer;
    if not found then
      return 'unknown';
    end if;
    if stored.has_answer then
      return case when stored.is_same then 'duplicate' else 'superseded' end;
    end if;
    result := 'deleted';
  end if;
  if not end_turn(of_user, answer, at, e.turn_state, e.usage, e.generation_id) and result = 'deleted' then
    return 'already_deleted';
  end if;
  return result;
end
$$;
