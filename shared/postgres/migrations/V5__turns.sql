-- One row per turn: its payer, its state and its usage. Not part of `messages`, because usage stays when a chat is
-- deleted.
--
-- `credits` are reserved, and charged once the turn is settled. A turn is released if the model produced nothing, and
-- withdrawn if the model was never asked. `idempotency_key` is the client's name for the attempt; `generation_id` is
-- the provider's name for the generation, by which usage that is unknown can be backfilled.
create table turns (
  user_id            uuid        not null references users (id) on delete cascade,
  answer_id          text        not null,
  chat_id            text        not null,
  model              text        not null,
  paid_by            text        not null check (paid_by in ('credits', 'byok')),
  plan               text,
  starts_at          timestamptz,
  credits            integer     not null check (credits >= 0),
  state              text        not null check (state in ('open', 'settled', 'released', 'withdrawn')),
  idempotency_key    text        check (length(idempotency_key) <= 255),
  generation_id      text,
  prompt_tokens      integer,
  completion_tokens  integer,
  reasoning_tokens   integer,
  cached_tokens      integer,
  cost_nano_usd      bigint,
  began_at           timestamptz not null,
  ended_at           timestamptz,
  check ((paid_by = 'credits') = (plan is not null and starts_at is not null and credits > 0))
);

create index turns_by_user on turns (user_id, began_at);
create index turns_by_key on turns (user_id, began_at) include (cost_nano_usd) where paid_by = 'byok';
-- A withdrawn turn was never sent, so its key is free again.
create unique index turns_by_idempotency_key on turns (user_id, idempotency_key)
  where idempotency_key is not null and state <> 'withdrawn';

-- For jobs; both are almost empty. A released turn can have a cost, too: a model that only reasoned is billed.
create index turns_open on turns (began_at) where state = 'open';
create index turns_missing_usage on turns (ended_at)
  where state in ('settled', 'released')
    and generation_id is not null and prompt_tokens is null and cost_nano_usd is null;

-- After the other indexes: of several that cost the same on an empty table the planner takes the newest, and connections
-- keep the plan.
alter table turns add primary key (user_id, answer_id);

alter table turns enable row level security;
alter table turns force row level security;
create policy turns_own on turns
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


grant select, insert,
      update (state, idempotency_key, generation_id, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens,
              cost_nano_usd, ended_at)
   on turns to app_user;
-- Jobs end orphaned turns, backfill usage, and restore turns that a crash of the database lost, of all users. What
-- they insert can only be withdrawn: no job makes a turn that is charged.
grant select,
      insert (user_id, answer_id, chat_id, model, paid_by, credits, state, began_at, ended_at),
      update (state, generation_id, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_nano_usd,
              ended_at)
   on turns to app_job;
create policy turns_job on turns to app_job using (true);
create policy turns_job_restores on turns as restrictive for insert to app_job with check (state = 'withdrawn');
