-- What a turn is called by others, and what it took where that is said late.
--
-- This and the next one belong together. They are two, because each of them holds up whoever wants its table, and
-- who ends a turn goes from `messages` to `turns`: a migration that holds one and waits for the other meets them
-- halfway.
--
-- keeps data: nothing is dropped; what updates is inside functions.

-- The client's name for an attempt, under which it may send it again; and the provider's name for what it
-- made, under which a price that nobody said can still be asked for. Not validated: nobody has a key yet, and
-- looking takes as long as there are turns.
alter table turns
  add column idempotency_key text,
  add column generation_id   text,
  add constraint turns_idempotency_key_is_short check (length(idempotency_key) <= 255) not valid;

-- Whoever clears up makes turns anew that the database has forgotten, and no others.
create policy turns_job_restores on turns as restrictive for insert to app_job with check (state = 'withdrawn');

-- A turn that is withdrawn was never sent, so its key is free again.
create unique index turns_by_idempotency_key on turns (user_id, idempotency_key)
  where idempotency_key is not null and state <> 'withdrawn';

-- What a job looks for. Almost nothing is in it. A turn that is released has a price, too, if its model had begun
-- to think: whoever paid for the generation pays for that.
create index turns_unpriced on turns (ended_at)
  where state in ('settled', 'released')
    and generation_id is not null and prompt_tokens is null and cost_nano_usd is null;


-- Fills in what a turn took where nobody has known it yet. What is known stays.
create function count_turn(
  answer text, prompt integer, completion integer, reasoning integer, cached integer, cost bigint, generation text
) returns void
  language plpgsql
as $$
begin
  update turns
     set prompt_tokens = coalesce(prompt_tokens, prompt),
         completion_tokens = coalesce(completion_tokens, completion),
         reasoning_tokens = coalesce(reasoning_tokens, reasoning),
         cached_tokens = coalesce(cached_tokens, cached),
         cost_nano_usd = coalesce(cost_nano_usd, cost),
         generation_id = coalesce(generation_id, generation)
   where answer_id = answer
     and state in ('settled', 'released');
end
$$;


-- Ends what `pay_for_turn` began, once: whoever comes second changes no state and no credit, and is
-- answered 0; what they know of what it took is filled in where nobody knew it. A turn that is settled
-- keeps its price; of one that is released or withdrawn, the price is given back.
create function end_turn(
  answer text, at timestamptz, ending text,
  prompt integer, completion integer, reasoning integer, cached integer, cost bigint, generation text
) returns integer
  language plpgsql
as $$
declare
  ended record;
begin
  update turns
     set state = ending,
         prompt_tokens = prompt,
         completion_tokens = completion,
         reasoning_tokens = reasoning,
         cached_tokens = cached,
         cost_nano_usd = cost,
         generation_id = generation,
         ended_at = at
   where answer_id = answer
     and state = 'open'
  returning user_id, plan, starts_at, credits into ended;
  if not found then
    perform count_turn(answer, prompt, completion, reasoning, cached, cost, generation);
    return 0;
  elsif ended.plan is not null then
    insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
    values (ended.user_id, ended.plan, ended.starts_at, answer,
            case ending when 'settled' then 'settle' else 'release' end,
            case ending when 'settled' then 0 else ended.credits end, at);
    if ending <> 'settled' then
      update allowances
         set balance = balance + ended.credits
       where (user_id, plan, starts_at) = (ended.user_id, ended.plan, ended.starts_at);
    end if;
  end if;
  return 1;
end
$$;


-- The same for a turn of which nobody knows what it took: one that is withdrawn. The rest of its arguments is
-- for functions that are being replaced while this is deployed.
create or replace function end_turn(
  answer text, at timestamptz, ending text,
  prompt integer default null, completion integer default null, reasoning integer default null,
  cached integer default null, cost bigint default null
) returns integer
  language plpgsql
as $$
begin
  return end_turn(answer, at, ending, prompt, completion, reasoning, cached, cost, null);
end
$$;


grant update (idempotency_key, generation_id) on turns to app_user;
grant insert (answer_id, user_id, chat_id, model, paid_by, credits, state, began_at, ended_at),
      update (generation_id)
   on turns to app_job;
