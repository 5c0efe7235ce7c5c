-- Ends what `begin_turn` began, once, as `settled`, `released` or `withdrawn`. A settled turn is charged; the credits of a
-- released or withdrawn one are given back. Returns whether this call ended it: a second one changes neither state nor
-- credits, and only backfills usage that was unknown. `usage` as in `finish_turn`.
--
-- In plpgsql, which caches its plans: a function in SQL is planned anew by each statement that calls it.
create or replace function end_turn(
  of_user uuid, answer text, at timestamptz, end_state text, usage jsonb, generation text
) returns boolean
  language plpgsql
as $$
declare
  ended record;
begin
  update turns
     set state = end_state,
         prompt_tokens = (usage ->> 'prompt_tokens')::integer,
         completion_tokens = (usage ->> 'completion_tokens')::integer,
         reasoning_tokens = (usage ->> 'reasoning_tokens')::integer,
         cached_tokens = (usage ->> 'cached_tokens')::integer,
         cost_nano_usd = (usage ->> 'cost_nano_usd')::bigint,
         generation_id = generation,
         ended_at = at
   where user_id = of_user
     and answer_id = answer
     and state = 'open'
  returning plan, starts_at, credits, idempotency_key, paid_by, began_at, prompt_tokens, cost_nano_usd into ended;
  if not found then
    perform backfill_turn_usage(of_user, answer, usage, generation);
    return false;
  end if;
  if end_state <> 'settled' and ended.plan is not null then
    insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
    values (of_user, ended.plan, ended.starts_at, answer, 'release', ended.credits, at);
    update allowances
       set balance = balance + ended.credits
     where (user_id, plan, starts_at) = (of_user, ended.plan, ended.starts_at);
  end if;
  if end_state = 'withdrawn' then
    -- It was never sent, so its key is free again.
    if ended.idempotency_key is not null then
      update turns set idempotency_key = null where user_id = of_user and answer_id = answer;
    end if;
  elsif generation is not null and ended.prompt_tokens is null and ended.cost_nano_usd is null then
    insert into missing_usage (user_id, answer_id, ended_at) values (of_user, answer, at) on conflict do nothing;
  end if;
  if ended.paid_by = 'byok' and ended.cost_nano_usd > 0 then
    perform add_byok_spending(of_user, ended.began_at, ended.cost_nano_usd);
  end if;
  return true;
end
$$;
