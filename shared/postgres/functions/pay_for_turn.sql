-- Decides who pays for a turn, and reserves. `turn` as in `begin_turn`; its `plan_rules` say for each plan whether it
-- `includes` the model, whether the question `fits`, how many `turns` a chat may hold and how many `credits` it grants.
-- `turns_held` is how many this chat holds.
--
-- Order: an own key (BYOK) with the policy `always`; then the paid period, then the day, so that a paying user never
-- has less than a free one; then an own key with the policy `fallback`; else US004.
--
-- `decision` is JSON: plan, creditsPlan, credits, left; or plan, dataKey, master. With an own key, `encrypted_key` is
-- its nonce, ciphertext and wrapped data key.
create or replace function pay_for_turn(
  of_user uuid, at timestamptz, turn record, turns_held integer, out decision jsonb, out encrypted_key bytea[]
)
  language plpgsql
as $$
declare
  own           record;
  of_plan       text := 'free';
  credits_plan  text;
  remaining     integer;
  midnight      timestamptz;
begin
  select e.plan, e.starts_at, e.ends_at, e.credits,
         k.policy, k.cap_nano_usd, k.refused_at, k.nonce, k.ciphertext, d.wrapped, d.id as data_key, d.master
    into own
    from (values (1)) as always_one
    left join current_period(of_user, at) e on true
    left join provider_keys k on k.user_id = of_user
    left join data_keys d on d.id = k.data_key;

  -- A plan that was removed from the operator's table is worth as much as none.
  if turn.plan_rules ? own.plan then
    of_plan := own.plan;
  end if;
  if not (turn.plan_rules -> of_plan -> 'fits')::boolean then
    perform deny_payment('message_too_long', jsonb_build_object('plan', of_plan));
  elsif turns_held >= (turn.plan_rules -> of_plan -> 'turns')::integer then
    perform deny_payment('chat_full', jsonb_build_object('plan', of_plan));
  end if;

  if own.policy is distinct from 'always' then
    if of_plan <> 'free' and (turn.plan_rules -> of_plan -> 'includes')::boolean then
      credits_plan := of_plan;
      remaining := reserve_credits(
        of_user, of_plan, own.starts_at, own.ends_at, own.credits,
        turn.price, turn.chat, turn.answer, turn.model, at
      );
    end if;
    if remaining is null and (turn.plan_rules #> '{free,includes}')::boolean then
      credits_plan := 'free';
      midnight := date_trunc('day', at, 'UTC');
      remaining := reserve_credits(
        of_user, 'free', midnight, midnight + interval '24 hours', (turn.plan_rules #> '{free,credits}')::integer,
        turn.price, turn.chat, turn.answer, turn.model, at
      );
    end if;
    if remaining is not null then
      decision := jsonb_build_object(
        'plan', of_plan, 'creditsPlan', credits_plan, 'credits', turn.price, 'left', remaining
      );
      return;
    end if;
  end if;

  if own.policy is null then
    perform deny_for_credits(of_user, at, of_plan, turn.price, turn.plan_rules);
  elsif own.refused_at is not null then
    perform deny_payment('key_refused', '{}');
  elsif own.cap_nano_usd is not null then
    if own.cap_nano_usd <= spent_by_byok(of_user, at) then
      perform deny_payment('cap_reached', jsonb_build_object('capNanoUsd', own.cap_nano_usd, 'resetsAt', month_end(at)));
    end if;
  end if;
  insert into turns (user_id, answer_id, chat_id, model, paid_by, credits, state, began_at)
  values (of_user, turn.answer, turn.chat, turn.model, 'byok', 0, 'open', at);
  decision := jsonb_build_object('plan', of_plan, 'dataKey', own.data_key, 'master', own.master);
  encrypted_key := array[own.nonce, own.ciphertext, own.wrapped];
end
$$;
