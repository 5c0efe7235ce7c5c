-- Predicts the rows that `begin_turn` will return for the same parameters, and writes nothing. No row where a refusal is
-- to be expected, or where the answer above is still open. A prediction decides nothing: it tells early what to ask the
-- model, and `begin_turn`, which is sent behind it in the same transaction, whether to (docs/decisions/0015).
--
-- Turns of one user queue here until their transactions end: of concurrent turns, only those are predicted that the balance
-- pays for, and of duplicates only the first, so that no model is asked for nothing.
create or replace function predict_turn(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz, turn jsonb
) returns table (kind text, body jsonb, encrypted_key bytea[])
  language plpgsql
as $$
declare
  in_chat      text := turn ->> 'chat';
  placement    text := turn ->> 'placement';
  question     text := turn ->> 'question';
  attempt_key  text := turn ->> 'idempotency_key';
  rules        jsonb := turn -> 'plan_rules';
  price        integer := (turn ->> 'price')::integer;
  of_plan      text := 'free';
  above        text;
  own          record;
  allowance    record;
begin
  kind := set_config('app.user_id', of_user::text, true);
  kind := queue_turns(of_user);
  select c.head_id, coalesce(c.turns, 0) as turns_held, i.* into own
    from (select) one
    left join chats c on c.user_id = of_user and c.id = in_chat
    cross join lateral turn_inputs(of_user, with_session, at, idle_since, in_chat, c.head_id, question) i;
  if not found or own.head_status = 'streaming' then
    return;
  elsif placement = 'append' and own.is_stored is not null or placement <> 'append' and own.is_stored is not true then
    return;
  end if;
  if attempt_key is not null then
    perform from turns t where t.user_id = of_user and t.idempotency_key = attempt_key;
    if found then
      return;
    end if;
  end if;
  if rules ? own.plan then
    of_plan := own.plan;
  end if;
  if not (rules -> of_plan -> 'fits')::boolean or own.turns_held >= (rules -> of_plan -> 'turns')::integer then
    return;
  end if;

  if turn ? 'files' then
    begin
      turn := jsonb_set(turn, '{parts}', attach_files(of_user, turn));
    exception
      when sqlstate 'US009' or sqlstate 'US010' then return;
    end;
  end if;

  if own.policy is distinct from 'always' then
    select a.plan, a.balance - price as remaining into allowance
      from current_allowances(of_user, at, (rules #> '{free,credits}')::integer) a
     where (rules -> a.plan -> 'includes')::boolean and a.balance >= price
     limit 1;
    if found then
      body := jsonb_build_object(
        'plan', of_plan, 'creditsPlan', allowance.plan, 'credits', price, 'left', allowance.remaining
      );
    end if;
  end if;
  if body is null then
    if own.policy is null or own.refused_at is not null or own.cap_nano_usd <= spent_by_byok(of_user, at) then
      return;
    end if;
    body := jsonb_build_object('plan', of_plan, 'dataKey', own.data_key, 'master', own.master);
    encrypted_key := array[own.nonce, own.ciphertext, own.wrapped];
  end if;
  kind := 'payment';
  return next;
  if turn ? 'files' then
    kind := 'question';
    body := turn -> 'parts';
    encrypted_key := null;
    return next;
  end if;
  above := case placement when 'append' then own.head_id when 'edit' then own.parent_id else question end;
  return query
    select c.kind, c.body, null::bytea[] from turn_context(of_user, in_chat, above, (turn ->> 'context_size')::integer) c;
end
$$;
