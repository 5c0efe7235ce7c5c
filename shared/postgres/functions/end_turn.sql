-- Ends what `pay_for_turn` began, once, as `settled`, `released` or `withdrawn`. A settled turn is charged; the credits
-- of a released or withdrawn one are given back. Returns whether this call ended it: a second one changes neither state
-- nor credits, and only backfills usage that was unknown. `usage` as in `finish_turn`.
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
  returning plan, starts_at, credits into ended;
  if not found then
    perform backfill_turn_usage(of_user, answer, usage, generation);
    return false;
  elsif ended.plan is not null then
    insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
    values (of_user, ended.plan, ended.starts_at, answer,
            case end_state when 'settled' then 'settle' else 'release' end,
            case end_state when 'settled' then 0 else ended.credits end, at);
    if end_state <> 'settled' then
      update allowances
         set balance = balance + ended.credits
       where (user_id, plan, starts_at) = (of_user, ended.plan, ended.starts_at);
    end if;
  end if;
  return true;
end
$$;
