-- Fills in usage of an ended turn where it is unknown; known values stay. `usage` as in `finish_turn`. What is then
-- complete is no longer missing; what has only got its generation's name can be looked up from now on.
create or replace function backfill_turn_usage(of_user uuid, answer text, usage jsonb, generation text) returns void
  language plpgsql
as $$
declare
  before  record;
  after   record;
begin
  select cost_nano_usd into before
    from turns
   where user_id = of_user and answer_id = answer
     for update;
  update turns
     set prompt_tokens = coalesce(prompt_tokens, (usage ->> 'prompt_tokens')::integer),
         completion_tokens = coalesce(completion_tokens, (usage ->> 'completion_tokens')::integer),
         reasoning_tokens = coalesce(reasoning_tokens, (usage ->> 'reasoning_tokens')::integer),
         cached_tokens = coalesce(cached_tokens, (usage ->> 'cached_tokens')::integer),
         cost_nano_usd = coalesce(cost_nano_usd, (usage ->> 'cost_nano_usd')::bigint),
         generation_id = coalesce(generation_id, generation)
   where user_id = of_user
     and answer_id = answer
     and state in ('settled', 'released')
  returning generation_id, prompt_tokens, cost_nano_usd, paid_by, began_at, ended_at into after;
  if not found then
    return;
  end if;
  if after.paid_by = 'byok' and before.cost_nano_usd is null and after.cost_nano_usd > 0 then
    perform add_byok_spending(of_user, after.began_at, after.cost_nano_usd);
  end if;
  if after.prompt_tokens is not null or after.cost_nano_usd is not null then
    delete from missing_usage where user_id = of_user and answer_id = answer;
  elsif after.generation_id is not null then
    insert into missing_usage (user_id, answer_id, ended_at)
    values (of_user, answer, after.ended_at)
    on conflict do nothing;
  end if;
end
$$;
