-- Fills in usage of an ended turn where it is unknown; known values stay. `usage` as in `finish_turn`.
create or replace function backfill_turn_usage(of_user uuid, answer text, usage jsonb, generation text) returns void
  language plpgsql
as $$
begin
  update turns
     set prompt_tokens = coalesce(prompt_tokens, (usage ->> 'prompt_tokens')::integer),
         completion_tokens = coalesce(completion_tokens, (usage ->> 'completion_tokens')::integer),
         reasoning_tokens = coalesce(reasoning_tokens, (usage ->> 'reasoning_tokens')::integer),
         cached_tokens = coalesce(cached_tokens, (usage ->> 'cached_tokens')::integer),
         cost_nano_usd = coalesce(cost_nano_usd, (usage ->> 'cost_nano_usd')::bigint),
         generation_id = coalesce(generation_id, generation)
   where user_id = of_user
     and answer_id = answer
     and state in ('settled', 'released');
end
$$;
