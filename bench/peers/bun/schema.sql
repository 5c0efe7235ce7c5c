-- The tables of the peer, run once by the owner of the database.
create schema peer_bun;

create table peer_bun.sessions (
  id          uuid        primary key,
  user_id     uuid        not null,
  expires_at  timestamptz not null,
  revoked_at  timestamptz
);

create table peer_bun.chats (
  user_id     uuid        not null,
  id          text        not null,
  title       text        not null,
  updated_at  timestamptz not null,
  primary key (user_id, id)
);

create table peer_bun.messages (
  id                 uuid        primary key,
  number             bigint      generated always as identity,
  user_id            uuid        not null,
  chat_id            text        not null,
  role               text        not null,
  status             text        not null,
  content            text        not null,
  model              text,
  prompt_tokens      integer,
  completion_tokens  integer,
  cost_usd           double precision,
  created_at         timestamptz not null default now(),
  foreign key (user_id, chat_id) references peer_bun.chats (user_id, id) on delete cascade
);
create index on peer_bun.messages (user_id, chat_id, number);

create table peer_bun.summaries (
  id          bigint      generated always as identity primary key,
  user_id     uuid        not null,
  chat_id     text        not null,
  content     text        not null
);
create index on peer_bun.summaries (user_id, chat_id, id);

create table peer_bun.credits (
  user_id  uuid     primary key,
  balance  integer  not null check (balance >= 0)
);

create table peer_bun.turns (
  answer_id          uuid        primary key,
  user_id            uuid        not null,
  chat_id            text        not null,
  credits            integer     not null,
  state              text        not null,
  prompt_tokens      integer,
  completion_tokens  integer,
  cost_usd           double precision,
  began_at           timestamptz not null default now(),
  ended_at           timestamptz
);
create index on peer_bun.turns (user_id, began_at);

grant usage on schema peer_bun to app_user;
grant select, insert, update, delete on all tables in schema peer_bun to app_user;
