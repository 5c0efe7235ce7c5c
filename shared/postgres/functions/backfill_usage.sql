-- Backfills usage that became known after the turn's end, in its turn and in its answer, which may be deleted. `usage`
-- as in `finish_turn`.
create or replace function backfill_usage(of_user uuid, answer text, usage jsonb) returns void
  language plpgsql
as $$
begin
  perform set_config('app.user_id', of_user::text, true);
  update messages
     set prompt_tokens = coalesce(prompt_tokens, (usage ->> 'prompt_tokens')::integer),
         completion_tokens = coalesce(completion_tokens, (usage ->> 'completion_tokens')::integer),
         reasoning_tokens = coalesce(reasoning_tokens, (usage ->> 'reasoning_tokens')::integer),
         cached_tokens = coalesce(cached_tokens, (usage ->> 'cached_tokens')::integer),
         cost_nano_usd = coalesce(cost_nano_usd, (usage ->> 'cost_nano_usd')::bigint)
   where user_id = of_user
     and id = answer;
  perform backfill_turn_usage(of_user, answer, usage, null);
end
$$;
