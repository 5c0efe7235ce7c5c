-- Decides who pays for a turn, reserves, and stores the turn (`store_turn`). `turn` as in `begin_turn`; its `plan_rules` say
-- for each plan whether it `includes` the model, whether the question `fits`, how many `turns` a chat may hold and how many
-- `credits` it grants. `own` is what `begin_turn` has read of the user: the paid period and the own key. `turns_held` is how
-- many turns this chat holds; `above`, the message that the question is stored below.
--
-- Order: an own key (BYOK) with the policy `always`; then the paid period, then the day, so that a paying user never
-- has less than a free one; then an own key with the policy `fallback`; else US004.
--
-- `decision` is JSON: plan, creditsPlan, credits, left; or plan, dataKey, master. With an own key, `encrypted_key` is
-- its nonce, ciphertext and wrapped data key.
create or replace function pay_for_turn(
  of_user uuid, at timestamptz, turn jsonb, own record, above text, turns_held integer,
  out decision jsonb, out encrypted_key bytea[]
)
  language plpgsql
as $$
declare
  rules         jsonb := turn -> 'plan_rules';
  price         integer := (turn ->> 'price')::integer;
  of_plan       text := 'free';
  credits_plan  text;
  first_at      timestamptz;
  remaining     integer;
begin
  -- A plan that was removed from the operator's table is worth as much as none.
  if rules ? own.plan then
    of_plan := own.plan;
  end if;
  if not (rules -> of_plan -> 'fits')::boolean then
    perform deny_payment('message_too_long', jsonb_build_object('plan', of_plan));
  elsif turns_held >= (rules -> of_plan -> 'turns')::integer then
    perform deny_payment('chat_full', jsonb_build_object('plan', of_plan));
  end if;

  if own.policy is distinct from 'always' then
    if of_plan <> 'free' and (rules -> of_plan -> 'includes')::boolean then
      credits_plan := of_plan;
      first_at := own.starts_at;
      remaining := reserve_credits(of_user, of_plan, first_at, own.ends_at, own.credits, price, at);
    end if;
    if remaining is null and (rules #> '{free,includes}')::boolean then
      credits_plan := 'free';
      first_at := date_trunc('day', at, 'UTC');
      remaining := reserve_credits(
        of_user, 'free', first_at, first_at + interval '24 hours', (rules #> '{free,credits}')::integer, price, at
      );
    end if;
    if remaining is not null then
      decision := jsonb_build_object('plan', of_plan, 'creditsPlan', credits_plan, 'credits', price, 'left', remaining);
      perform store_turn(of_user, at, turn, above, turns_held, credits_plan, first_at);
      return;
    end if;
  end if;

  if own.policy is null then
    perform deny_for_credits(of_user, at, of_plan, price, rules);
  elsif own.refused_at is not null then
    perform deny_payment('key_refused', '{}');
  elsif own.cap_nano_usd is not null then
    if own.cap_nano_usd <= spent_by_byok(of_user, at) then
      perform deny_payment('cap_reached', jsonb_build_object('capNanoUsd', own.cap_nano_usd, 'resetsAt', month_end(at)));
    end if;
  end if;
  decision := jsonb_build_object('plan', of_plan, 'dataKey', own.data_key, 'master', own.master);
  encrypted_key := array[own.nonce, own.ciphertext, own.wrapped];
  perform store_turn(of_user, at, turn, above, turns_held, null, null);
end
$$;
