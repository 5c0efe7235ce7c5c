create domain turn_payer as text check (value in ('credits', 'byok'));
create domain turn_state as text check (value in ('open', 'settled', 'released', 'withdrawn'));


-- One row per turn: its payer, its state and its usage. Not part of `messages`, because usage stays when a chat is
-- deleted.
--
-- `credits` are reserved, and charged once the turn is settled. A turn is released if the model produced nothing, and
-- withdrawn if the model was never asked. `idempotency_key` is the client's name for the attempt, and free again once the
-- turn is withdrawn; `generation_id` is the provider's name for the generation, by which usage that is unknown can be
-- backfilled.
create table turns (
  user_id            uuid        not null references users (id) on delete cascade,
  answer_id          text        not null,
  chat_id            text        not null,
  model              text        not null,
  paid_by            turn_payer  not null,
  plan               text,
  starts_at          timestamptz,
  credits            integer     not null check (credits >= 0),
  state              turn_state  not null,
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

-- No index names a column that the end of a turn changes, in a key or in a predicate: so the end is a heap-only update,
-- which enters no index. What jobs look for is in tables of its own, below.
create index turns_by_user on turns (user_id, began_at);
create index turns_by_begin on turns (began_at);
create unique index turns_by_idempotency_key on turns (user_id, idempotency_key) where idempotency_key is not null;

-- After the other indexes: of several that cost the same on an empty table the planner takes the newest, and connections
-- keep the plan.
alter table turns add primary key (user_id, answer_id);

alter table turns enable row level security;
alter table turns force row level security;
create policy turns_own on turns
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


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


-- Ended turns whose usage is unknown, until it is backfilled. A released turn can have a cost, too: a model that only
-- reasoned is billed.
create table missing_usage (
  user_id    uuid        not null,
  answer_id  text        not null,
  ended_at   timestamptz not null,
  primary key (user_id, answer_id),
  foreign key (user_id, answer_id) references turns (user_id, answer_id) on delete cascade
);

create index missing_usage_by_end on missing_usage (ended_at);

alter table missing_usage enable row level security;
alter table missing_usage force row level security;
create policy missing_usage_own on missing_usage
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- What a user's own key (BYOK) has spent in a calendar month (UTC), in billionths of a US dollar: the sum of its turns'
-- costs. `month` is its beginning.
create table byok_spending (
  user_id        uuid        not null references users (id) on delete cascade,
  month          timestamptz not null,
  cost_nano_usd  bigint      not null,
  primary key (user_id, month)
);

alter table byok_spending enable row level security;
alter table byok_spending force row level security;
create policy byok_spending_own on byok_spending
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- How far the job that closes orphaned turns has come: no turn that began before `open_since` is open. One row. So the
-- job reads the turns of the last minutes, and not all that there ever were.
create table orphan_sweep (
  open_since  timestamptz not null
);
create unique index orphan_sweep_has_one_row on orphan_sweep ((true));
insert into orphan_sweep (open_since) values ('-infinity');


grant select, insert, delete on missing_usage to app_user, app_job;
create policy missing_usage_job on missing_usage to app_job using (true);
grant select, insert, update (cost_nano_usd) on byok_spending to app_user, app_job;
grant select, update on orphan_sweep to app_job;
