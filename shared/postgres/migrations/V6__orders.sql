-- Orders, payments, refunds and the audit log.
--
-- The books outlive the account: nothing here is deleted with its user. `user_id` becomes null then, and `payer`, a random
-- id, goes on telling which rows belong together. `billing_contacts` alone joins the two.

do $$
begin
  -- `app_money` records payments and gives what they buy. It serves the internet without a session, so it is granted
  -- neither chats nor keys.
  if not exists (select from pg_roles where rolname = 'app_money') then
    create role app_money login nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
exception
  -- Roles belong to the server: another database may create it at this moment.
  when duplicate_object or unique_violation then null;
end
$$;

grant usage on schema public to app_money;


-- The row is created with a user's first order. Everything that changes a user's periods locks it first.
create table billing_contacts (
  payer    uuid   primary key,
  user_id  uuid   unique references users (id) on delete set null,
  -- Encrypted by the application, and only stored if its owner wants that.
  phone    bytea
);

alter table billing_contacts enable row level security;
alter table billing_contacts force row level security;
create policy billing_contacts_own on billing_contacts
  using (user_id = current_user_id())
  with check (user_id = current_user_id());

-- The phone is personal data, and goes with the account.
create function forget_phone() returns trigger
  language plpgsql
as $$
begin
  new.phone := null;
  return new;
end
$$;

create trigger billing_contacts_without_user
  before update on billing_contacts
  for each row when (new.user_id is null)
  execute function forget_phone();


create domain order_state as text check (value in ('created', 'active', 'paid', 'expired', 'terminated'));

-- An order keeps the figures of the day on which it was made. Its id is its id at the payment provider, too.
create table orders (
  id                uuid         primary key,
  user_id           uuid         references users (id) on delete set null,
  payer             uuid         not null references billing_contacts (payer),
  plan              text         not null check (plan <> 'free'),
  price_paise       integer      not null check (price_paise >= 100),
  days              integer      not null check (days between 1 and 366),
  credits           integer      not null check (credits > 0),
  -- The provider's environment that knows it: no other one is asked about it.
  mode              text         not null check (mode in ('sandbox', 'production')),
  state             order_state  not null,
  -- The provider's name for the payment page, encrypted by the application: it opens a page that can show the phone.
  payment_session   bytea,
  idempotency_key   text         check (length(idempotency_key) <= 255),
  created_at        timestamptz  not null,
  expires_at        timestamptz  not null,
  paid_at           timestamptz,
  -- When a request of the user last asked the provider.
  asked_at          timestamptz,
  -- When a job asks the provider next; null once it does not any more.
  check_at          timestamptz,
  -- Since when the provider calls it paid; null again once it is fulfilled.
  reported_paid_at  timestamptz,
  check ((state = 'paid') = (paid_at is not null))
);

create unique index orders_one_open on orders (user_id, plan) where state in ('created', 'active');
create unique index orders_by_idempotency_key on orders (user_id, idempotency_key) where idempotency_key is not null;
create index orders_by_user on orders (user_id, created_at, id);
create index orders_by_payer on orders (payer);
create index orders_by_check on orders (check_at) where check_at is not null;
create index orders_reported_paid on orders (reported_paid_at) where reported_paid_at is not null;

alter table orders enable row level security;
alter table orders force row level security;
create policy orders_own on orders
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- Payment attempts, by the provider's id. `result` is what became of it: a word of `fulfil_order`.
create table payments (
  id            text         primary key check (length(id) between 1 and 64),
  order_id      uuid         not null references orders (id),
  user_id       uuid         references users (id) on delete set null,
  payer         uuid         not null references billing_contacts (payer),
  status        text         not null,
  result        text         not null,
  -- As the provider states them, in decimal text: the order's amount and currency, and what was paid.
  order_amount  text         not null,
  currency      text         not null,
  amount        text,
  made_at       timestamptz,
  recorded_at   timestamptz  not null
);

create index payments_by_order on payments (order_id);
create index payments_by_user on payments (user_id);
create index payments_by_payer on payments (payer);

alter table payments enable row level security;
alter table payments force row level security;
create policy payments_own on payments
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- Refunds, by the provider's id.
create table refunds (
  id           text         primary key check (length(id) between 1 and 64),
  order_id     uuid         not null references orders (id),
  payment_id   text         not null references payments (id),
  user_id      uuid         references users (id) on delete set null,
  payer        uuid         not null references billing_contacts (payer),
  status       text         not null,
  amount       text         not null,
  currency     text         not null,
  made_at      timestamptz,
  recorded_at  timestamptz  not null
);

create index refunds_by_order on refunds (order_id);
create index refunds_by_payment on refunds (payment_id);
create index refunds_by_user on refunds (user_id);
create index refunds_by_payer on refunds (payer);

alter table refunds enable row level security;
alter table refunds force row level security;
create policy refunds_own on refunds
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- What was done, and when. Append-only: every role may insert, and none may read, change or delete. `details` holds no
-- personal data.
create table audit_log (
  id         bigint       generated always as identity primary key,
  user_id    uuid         references users (id) on delete set null,
  at         timestamptz  not null,
  kind       text         not null,
  reference  text         not null,
  details    jsonb        not null default '{}'
);

create index audit_log_by_user on audit_log (user_id, at);

alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy audit_log_own on audit_log
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- An order gives one period: a second one for the same order is refused, whatever the code does.
alter table entitlements add column order_id uuid unique references orders (id);


grant select, insert, update (phone) on billing_contacts to app_user;
grant select, insert, update (state, payment_session, idempotency_key, asked_at, reported_paid_at) on orders to app_user;
-- An order that a user's request could call paid would never be fulfilled.
create policy orders_unpaid on orders as restrictive for update to app_user
  using (state <> 'paid')
  with check (state <> 'paid');
create policy orders_begin_unpaid on orders as restrictive for insert to app_user with check (state = 'created');
grant select on payments, refunds to app_user;
grant insert on audit_log to app_user, app_money, app_job;

-- To lock a row takes the right to update a column: of `billing_contacts`, one that no function of theirs changes.
grant select (payer, user_id), update (user_id) on billing_contacts to app_money, app_job;
grant select, update (state, payment_session, paid_at, check_at, reported_paid_at) on orders to app_money, app_job;
grant select, insert, update (status, result, order_amount, currency, amount, made_at, recorded_at) on payments
   to app_money, app_job;
grant select, insert, update (status, amount, currency, made_at, recorded_at) on refunds to app_money, app_job;
grant select (user_id, plan, starts_at, ends_at, revoked_at), insert (id, user_id, plan, credits, starts_at, ends_at, order_id)
   on entitlements to app_money, app_job;
create policy billing_contacts_money on billing_contacts to app_money, app_job using (true);
create policy orders_money on orders to app_money, app_job using (true);
create policy payments_money on payments to app_money, app_job using (true);
create policy refunds_money on refunds to app_money, app_job using (true);
create policy audit_log_money on audit_log for insert to app_money, app_job with check (true);
create policy entitlements_money on entitlements to app_money, app_job using (true);
