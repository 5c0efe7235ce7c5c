-- Entitlements, allowances and the credit ledger.
--
-- Figures of plans are in the operator's table, plans.toml; an entitlement keeps the figures of the day it was bought.

create domain ledger_kind as text check (value in ('grant', 'reserve', 'release', 'refund'));


-- A paid period of a plan. Periods of one user follow each other.
create table entitlements (
  id          uuid        primary key,
  user_id     uuid        not null references users (id) on delete cascade,
  plan        text        not null check (plan <> 'free'),
  credits     integer     not null check (credits > 0),
  starts_at   timestamptz not null,
  ends_at     timestamptz not null check (ends_at > starts_at),
  revoked_at  timestamptz,
  -- Identifies the allowance of this period.
  unique (user_id, plan, starts_at)
);

create index entitlements_by_user on entitlements (user_id, ends_at);

alter table entitlements enable row level security;
alter table entitlements force row level security;
create policy entitlements_own on entitlements
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- The credits of one day or one paid period. The row is created when its first credit is spent, so that no job has to
-- begin a new day. `balance` is the sum of the ledger's amounts.
create table allowances (
  user_id    uuid        not null references users (id) on delete cascade,
  plan       text        not null,
  starts_at  timestamptz not null,
  ends_at    timestamptz not null check (ends_at > starts_at),
  granted    integer     not null,
  balance    integer     not null check (balance >= 0),
  primary key (user_id, plan, starts_at)
);

alter table allowances enable row level security;
alter table allowances force row level security;
create policy allowances_own on allowances
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- Append-only: every change of an allowance's balance. No role may update or delete. `reference` is the answer that
-- was paid for. A settled turn keeps what it reserved, and changes no balance: that it is settled is in `turns`.
create table credit_ledger (
  user_id     uuid        not null,
  plan        text        not null,
  starts_at   timestamptz not null,
  reference   text        not null,
  kind        ledger_kind not null,
  amount      integer     not null check (case kind when 'reserve' then amount < 0 when 'refund' then true else amount > 0 end),
  created_at  timestamptz not null,
  primary key (user_id, plan, starts_at, reference, kind),
  constraint ledger_allowance foreign key (user_id, plan, starts_at) references allowances on delete cascade
);

alter table credit_ledger enable row level security;
alter table credit_ledger force row level security;
create policy ledger_own on credit_ledger
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


grant select on entitlements to app_user;
grant select, insert, update (balance) on allowances to app_user;
grant select, insert on credit_ledger to app_user;
-- Jobs release the credits of orphaned turns, of all users.
grant select, update (balance) on allowances to app_job;
grant select, insert on credit_ledger to app_job;
create policy allowances_job on allowances to app_job using (true);
create policy ledger_job on credit_ledger to app_job using (true) with check (true);
