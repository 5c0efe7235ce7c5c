-- Who pays for a turn: plans, credits, and the keys that people bring.
--
-- keeps data: what looks like a loss is inside functions, and takes credits from what this makes.
--
-- What a plan is worth is not in here but in the operator's table, plans.toml; what somebody has bought
-- keeps the figures of its day.

-- A plan that was paid for, and for how long. Periods of one user follow each other.
create table entitlements (
  id          uuid        primary key,
  user_id     uuid        not null references users (id) on delete cascade,
  plan        text        not null check (plan <> 'free'),
  credits     integer     not null check (credits > 0),
  starts_at   timestamptz not null,
  ends_at     timestamptz not null check (ends_at > starts_at),
  revoked_at  timestamptz,
  -- What an allowance is known by.
  unique (user_id, plan, starts_at)
);

create index entitlements_by_user on entitlements (user_id, ends_at);

alter table entitlements enable row level security;
alter table entitlements force row level security;
create policy entitlements_own on entitlements
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- The credits of one day or one paid period. The row is made when its first credit is spent, so a new
-- day begins without anybody's help. `balance` is the sum of the ledger's amounts.
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
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- What happened to an allowance. Rows are added and never changed: nobody is granted the right to.
-- `reference` is the answer that was paid for. A settled turn keeps what it reserved, so that its
-- amount is what it gives back: nothing.
create table credit_ledger (
  user_id     uuid        not null,
  plan        text        not null,
  starts_at   timestamptz not null,
  reference   text        not null,
  kind        text        not null check (kind in ('grant', 'reserve', 'settle', 'release', 'refund')),
  amount      integer     not null check (case kind
                                            when 'grant'   then amount > 0
                                            when 'reserve' then amount < 0
                                            when 'settle'  then amount >= 0
                                            when 'release' then amount > 0
                                            else true
                                          end),
  created_at  timestamptz not null,
  primary key (user_id, plan, starts_at, reference, kind),
  constraint ledger_allowance foreign key (user_id, plan, starts_at) references allowances on delete cascade
);

alter table credit_ledger enable row level security;
alter table credit_ledger force row level security;
create policy ledger_own on credit_ledger
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- One row per turn: who pays for it and what it took. Not part of `messages`: what was spent stays
-- spent when a chat is deleted. `credits` is what was reserved, and charged if the turn is settled. It is
-- released if the model said nothing, and withdrawn if the model was never asked.
create table turns (
  answer_id          text        primary key,
  user_id            uuid        not null references users (id) on delete cascade,
  chat_id            text        not null,
  model              text        not null,
  paid_by            text        not null check (paid_by in ('credits', 'byok')),
  plan               text,
  starts_at          timestamptz,
  credits            integer     not null check (credits >= 0),
  state              text        not null check (state in ('open', 'settled', 'released', 'withdrawn')),
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
create index turns_open on turns (began_at) where state = 'open';
create index turns_by_key on turns (user_id, began_at) include (cost_nano_usd) where paid_by = 'byok';

alter table turns enable row level security;
alter table turns force row level security;
create policy turns_own on turns
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- Keys that encrypt keys, themselves encrypted by a master key that no database sees. One per master
-- key, nobody's in particular.
create table data_keys (
  id          uuid        primary key,
  master      text        not null unique,
  wrapped     bytea       not null,
  created_at  timestamptz not null
);

-- The key that somebody brings, one each. Only ciphertext; whose it is, is part of what it is
-- authenticated with, so that a row that is moved to another user opens for nobody.
create table provider_keys (
  user_id             uuid        primary key references users (id) on delete cascade,
  data_key            uuid        not null references data_keys (id),
  nonce               bytea       not null check (length(nonce) = 12),
  ciphertext          bytea       not null,
  masked              text        not null,
  policy              text        not null check (policy in ('always', 'fallback')),
  cap_nano_usd        bigint      check (cap_nano_usd > 0),
  label               text,
  limit_nano_usd      bigint,
  remaining_nano_usd  bigint,
  usage_nano_usd      bigint      not null,
  expires_at          timestamptz,
  checked_at          timestamptz not null,
  refused_at          timestamptz
);

create index provider_keys_by_data_key on provider_keys (data_key);

alter table provider_keys enable row level security;
alter table provider_keys force row level security;
create policy provider_keys_own on provider_keys
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- How many turns a chat has had. Chats that are older than this column begin at none.
alter table chats add column turns integer not null default 0;

-- Turns are counted in `turns` now.
drop index answers_by_user;


-- Refuses a turn. The detail is for the app: which rule, and what it needs to explain it.
create function refuse_turn(reason text, about jsonb) returns void
  language plpgsql
as $$
begin
  raise exception 'turn refused' using errcode = 'US004', detail = about || jsonb_build_object('reason', reason);
end
$$;


-- Reserves `price` of an allowance for a turn, and opens the turn. The allowance is made with its grant if
-- this is its first use. Answers with what is left; null where there is too little, and nothing was taken.
--
-- The update is the rule that no two at once can overspend; the primary key, that nothing is granted
-- twice. What is written when it succeeds is one statement: this is on the way to every first word.
create function reserve_credits(
  of_user uuid, of_plan text, first_at timestamptz, until timestamptz, granting integer,
  price integer, in_chat text, answer text, asked_model text, at timestamptz
) returns integer
  language plpgsql
as $$
declare
  remaining integer;
begin
  for attempt in 1..2 loop
    with taken as (
      update allowances
         set balance = balance - price
       where user_id = of_user and plan = of_plan and starts_at = first_at and balance >= price
      returning balance
    ), noted as (
      insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
      select of_user, of_plan, first_at, answer, 'reserve', -price, at from taken
    ), opened as (
      insert into turns (answer_id, user_id, chat_id, model, paid_by, plan, starts_at, credits, state, began_at)
      select answer, of_user, in_chat, asked_model, 'credits', of_plan, first_at, price, 'open', at from taken
    )
    select balance into remaining from taken;
    if found then
      return remaining;
    end if;
    -- Whoever comes second here waits for the first to commit, and then sees its row.
    insert into allowances (user_id, plan, starts_at, ends_at, granted, balance)
    values (of_user, of_plan, first_at, until, granting, granting)
    on conflict do nothing;
    if found then
      insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
      values (of_user, of_plan, first_at, 'grant', 'grant', granting, at);
    end if;
  end loop;
  return null;
end
$$;


-- The paid period that counts: the one that ends first.
create function current_period(of_user uuid, at timestamptz) returns setof entitlements
  language sql stable
as $$
  select *
    from entitlements
   where user_id = of_user and starts_at <= at and ends_at > at and revoked_at is null
   order by ends_at
   limit 1
$$;


-- Allowances that could pay now, whether their rows are made yet or not: that of the paid period, if
-- there is one, then that of the day. What a day brings is in the operator's table.
create function current_allowances(of_user uuid, at timestamptz, day_credits integer)
  returns table (plan text, starts_at timestamptz, ends_at timestamptz, granted integer, balance integer)
  language sql stable
as $$
  with possible as (
    select 1 as place, e.plan, e.starts_at, e.ends_at, e.credits from current_period(of_user, at) e
    union all
    select 2, 'free', date_trunc('day', at, 'UTC'), date_trunc('day', at, 'UTC') + interval '24 hours', day_credits
  )
  select p.plan, p.starts_at, p.ends_at, coalesce(a.granted, p.credits), coalesce(a.balance, p.credits)
    from possible p
    left join allowances a on a.user_id = of_user and a.plan = p.plan and a.starts_at = p.starts_at
   order by p.place
$$;


-- Explains that no allowance pays: none includes the model, or those that do hold too little.
create function refuse_for_credits(of_user uuid, at timestamptz, of_plan text, price integer, terms jsonb) returns void
  language plpgsql
as $$
declare
  allowances jsonb;
begin
  select jsonb_agg(jsonb_build_object(
           'plan', plan, 'left', balance, 'granted', granted, 'endsAt', ends_at, 'renews', plan = 'free'
         ))
    into allowances
    from current_allowances(of_user, at, (terms #> '{free,credits}')::integer)
   where (terms -> plan -> 'includes')::boolean;
  if allowances is null then
    perform refuse_turn('model_not_included', jsonb_build_object('plan', of_plan));
  end if;
  perform refuse_turn('credits_exhausted', jsonb_build_object('plan', of_plan, 'needed', price, 'allowances', allowances));
end
$$;


-- When the calendar month ends, in UTC wherever the server thinks that it is. A month is not always as
-- long, so it is added where there are no time zones.
create function month_end(at timestamptz) returns timestamptz
  language sql immutable parallel safe
  return (date_trunc('month', at at time zone 'UTC') + interval '1 month') at time zone 'UTC';


-- What somebody's own key has spent in this calendar month.
create function spent_by_key(of_user uuid, at timestamptz) returns bigint
  language sql stable
  return (select coalesce(sum(cost_nano_usd), 0)::bigint
            from turns
           where user_id = of_user
             and paid_by = 'byok'
             and began_at >= date_trunc('month', at, 'UTC'));


-- Decides who pays for a turn, and reserves. `terms` says for each plan whether it `includes` the model,
-- whether the question `fits`, how many `turns` a chat may hold and how many `credits` it brings.
--
-- An own key that is for always is asked first; then the paid period, then the day, so that whoever pays
-- never has less than who does not; then an own key that is for when these do not pay.
create function pay_for_turn(
  of_user uuid, at timestamptz, in_chat text, held integer, answer text, asked_model text, price integer, terms jsonb,
  out receipt jsonb, out sealed bytea[]
)
  language plpgsql
as $$
declare
  own         record;
  of_plan     text := 'free';
  credits_plan  text;
  remaining   integer;
  midnight    timestamptz;
begin
  select e.plan, e.starts_at, e.ends_at, e.credits,
         k.policy, k.cap_nano_usd, k.refused_at, k.nonce, k.ciphertext, d.wrapped, d.id as data_key, d.master
    into own
    from (values (1)) as always_one
    left join current_period(of_user, at) e on true
    left join provider_keys k on k.user_id = of_user
    left join data_keys d on d.id = k.data_key;

  -- A plan that the operator's table no longer has is worth as much as none.
  if terms ? own.plan then
    of_plan := own.plan;
  end if;
  if not (terms -> of_plan -> 'fits')::boolean then
    perform refuse_turn('message_too_long', jsonb_build_object('plan', of_plan));
  elsif held >= (terms -> of_plan -> 'turns')::integer then
    perform refuse_turn('chat_full', jsonb_build_object('plan', of_plan));
  end if;

  if own.policy is distinct from 'always' then
    if of_plan <> 'free' and (terms -> of_plan -> 'includes')::boolean then
      credits_plan := of_plan;
      remaining := reserve_credits(
        of_user, of_plan, own.starts_at, own.ends_at, own.credits, price, in_chat, answer, asked_model, at
      );
    end if;
    if remaining is null and (terms #> '{free,includes}')::boolean then
      credits_plan := 'free';
      midnight := date_trunc('day', at, 'UTC');
      remaining := reserve_credits(
        of_user, 'free', midnight, midnight + interval '24 hours', (terms #> '{free,credits}')::integer,
        price, in_chat, answer, asked_model, at
      );
    end if;
    if remaining is not null then
      receipt := jsonb_build_object('plan', of_plan, 'creditsPlan', credits_plan, 'credits', price, 'left', remaining);
      return;
    end if;
  end if;

  if own.policy is null then
    perform refuse_for_credits(of_user, at, of_plan, price, terms);
  elsif own.refused_at is not null then
    perform refuse_turn('key_refused', '{}');
  elsif own.cap_nano_usd is not null then
    if own.cap_nano_usd <= spent_by_key(of_user, at) then
      perform refuse_turn('cap_reached', jsonb_build_object('capNanoUsd', own.cap_nano_usd, 'resetsAt', month_end(at)));
    end if;
  end if;
  insert into turns (answer_id, user_id, chat_id, model, paid_by, credits, state, began_at)
  values (answer, of_user, in_chat, asked_model, 'byok', 0, 'open', at);
  receipt := jsonb_build_object('plan', of_plan, 'dataKey', own.data_key, 'master', own.master);
  sealed := array[own.nonce, own.ciphertext, own.wrapped];
end
$$;


-- Ends what `pay_for_turn` began, once: whoever comes second changes nothing, and is answered 0. A turn
-- that is settled keeps its price; of one that is released or withdrawn, the price is given back.
--
-- In plpgsql, which keeps the plan: a function in SQL is planned anew by each statement that calls it.
create function end_turn(
  answer text, at timestamptz, ending text,
  prompt integer default null, completion integer default null, reasoning integer default null,
  cached integer default null, cost bigint default null
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
         ended_at = at
   where answer_id = answer
     and state = 'open'
  returning user_id, plan, starts_at, credits into ended;
  if not found then
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


-- `begin_turn` with somebody who pays; `price` and `terms` are for `pay_for_turn`. A row of role `paid`
-- says who it is, and carries the sealed key if it is the user's own.
--
-- The one without them is for functions that are being replaced while this is deployed.
create function begin_turn(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz,
  chat text, first_title text, place text, question text, aside text,
  question_parts jsonb, answer text, asked_model text, context_size integer, price integer, terms jsonb
) returns table (said_by text, said jsonb, sealed bytea[])
  language plpgsql
as $$
declare
  above text;
  held  integer;
  paid  record;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform enter_session(of_user, with_session, at, idle_since);

  -- Locked until the end: one turn at a time finds its place, and the next one sees where this one
  -- has put the head. A chat that is somebody else's is not there. Of two who make it at once, the second
  -- may meet either of its unique keys.
  insert into chats (id, user_id, title, created_at, updated_at)
  values (chat, of_user, first_title, at, at)
  on conflict do nothing;
  select c.head_id, c.turns into above, held from chats c where c.id = chat for update;
  if not found then
    raise exception 'chat not found' using errcode = 'US002';
  end if;

  if place <> 'next' then
    select case place when 'instead' then m.parent_id else m.id end into above
      from messages m
     where m.id = question and m.chat_id = chat and m.role = 'user';
    if not found then
      raise exception 'message not found' using errcode = 'US003';
    end if;
  end if;

  paid := pay_for_turn(of_user, at, chat, held, answer, asked_model, price, terms);
  said_by := 'paid';
  said := paid.receipt;
  sealed := paid.sealed;
  return next;
  return query
    with recursive branch as (
      select m.parent_id, m.role, m.parts, 1 as depth
        from messages m
       where m.id = above and m.chat_id = chat
      union all
      select m.parent_id, m.role, m.parts, b.depth + 1
        from branch b
        join messages m on m.id = b.parent_id
       where b.depth < context_size
    )
    select branch.role, branch.parts, null::bytea[] from branch order by branch.depth;
  return query
    select 'summary', to_jsonb(s.content), null::bytea[]
      from summaries s
     where s.chat_id = chat
     order by s.created_at desc
     limit 1;

  if place = 'instead' then
    update messages set id = aside where id = question;
  end if;
  if place <> 'again' then
    insert into messages (id, chat_id, user_id, parent_id, role, status, parts, created_at)
    values (question, chat, of_user, above, 'user', 'complete', question_parts, at);
  end if;
  insert into messages (id, chat_id, user_id, parent_id, role, status, parts, model, created_at)
  values (answer, chat, of_user, question, 'assistant', 'streaming', '[]', asked_model, at);
  update chats set head_id = answer, updated_at = at, turns = held + 1 where id = chat;
end
$$;


grant select on entitlements to app_user;
grant select, insert, update (balance) on allowances to app_user;
grant select, insert,
      update (state, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_nano_usd, ended_at)
   on turns to app_user;
grant select, insert on credit_ledger, data_keys to app_user;
grant select, insert, update, delete on provider_keys to app_user;

-- Whoever clears up ends the turns that died, of all users, and encrypts keys anew.
grant usage on schema public to app_job;
grant select, update (balance) on allowances to app_job;
grant select,
      update (state, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_nano_usd, ended_at)
   on turns to app_job;
grant select, insert on credit_ledger to app_job;
grant select, update (data_key, nonce, ciphertext) on provider_keys to app_job;
grant select, insert, delete on data_keys to app_job;
create policy turns_job on turns to app_job using (true);
create policy allowances_job on allowances to app_job using (true);
create policy ledger_job on credit_ledger to app_job using (true) with check (true);
create policy provider_keys_job on provider_keys to app_job using (true);
