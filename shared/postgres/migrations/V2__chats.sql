-- Chats, their messages, and summaries of them.
--
-- Clients make the ids of chats and messages (the AI SDK's are 16 characters of text), so an id is unique per user and
-- not globally: another user's ids can neither collide with a request nor be probed by one.

-- Domains and not check constraints: a check is parsed anew by every statement that writes the table, a domain's once per
-- connection.
create domain client_id as text check (length(value) between 8 and 64);
create domain message_role as text check (value in ('user', 'assistant'));
create domain message_status as text check (value in ('streaming', 'complete', 'stopped', 'interrupted', 'failed'));


create table chats (
  user_id     uuid        not null references users (id) on delete cascade,
  id          client_id   not null,
  title       text        not null,
  -- The newest message of the branch that is shown.
  head_id     text,
  -- Turns begun in this chat, for the plan's limit.
  turns       integer     not null default 0,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  primary key (user_id, id)
);

alter table chats enable row level security;
alter table chats force row level security;
create policy chats_own on chats
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- A tree: an edited question and a regenerated answer are siblings of the earlier one, so no text is overwritten.
-- Ids can change (`on update cascade`): an edited question keeps its id in the client, so the earlier question is
-- displaced to another id.
create table messages (
  user_id            uuid            not null,
  id                 client_id       not null,
  chat_id            text            not null,
  parent_id          text,
  role               message_role    not null,
  status             message_status  not null,
  parts              jsonb           not null,
  model              text,
  generation_id      text,
  finish_reason      text,
  error_code         text,
  prompt_tokens      integer,
  completion_tokens  integer,
  reasoning_tokens   integer,
  cached_tokens      integer,
  cost_nano_usd      bigint,
  created_at         timestamptz     not null,
  finished_at        timestamptz,
  primary key (user_id, id),
  constraint messages_chat   foreign key (user_id, chat_id)   references chats (user_id, id) on delete cascade,
  -- That a parent, a head and a summary's message are of the same chat is a rule of the functions that write them: to hold
  -- it here takes a second unique index, which each message would have to enter.
  constraint messages_parent foreign key (user_id, parent_id) references messages (user_id, id) on delete cascade on update cascade
);

-- Not led by `user_id`, like all indexes here but the primary key: on an empty table the planner would find it as cheap
-- for a look-up by key, and connections keep that plan.
create index messages_by_chat on messages (chat_id, user_id, created_at);
-- For the cascades of `messages_parent`.
create index messages_by_parent on messages (parent_id, user_id);

alter table chats
  add constraint chats_head foreign key (user_id, head_id) references messages (user_id, id) on update cascade;

alter table messages enable row level security;
alter table messages force row level security;
create policy messages_own on messages
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- A summary represents everything on its branch up to and including `through_id`; it deletes nothing.
create table summaries (
  id          uuid        primary key,
  user_id     uuid        not null,
  chat_id     text        not null,
  through_id  text        not null,
  content     text        not null,
  created_at  timestamptz not null,
  constraint summaries_through foreign key (user_id, through_id) references messages (user_id, id) on delete cascade on update cascade
);

create index summaries_by_chat on summaries (chat_id, user_id, created_at desc);
-- For the cascades of `summaries_through`.
create index summaries_by_message on summaries (through_id, user_id);

alter table summaries enable row level security;
alter table summaries force row level security;
create policy summaries_own on summaries
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


grant select, insert, update, delete on chats, messages, summaries to app_user;
-- Jobs persist answers of all users and read none: `parts` cannot be selected. A job writes as the answer's user, by
-- `app.user_id` and the users' own policies.
grant select (user_id, id, head_id, turns, updated_at),
      insert (user_id, id, title, created_at, updated_at),
      update (head_id, turns, updated_at)
   on chats to app_job;
grant select (user_id, id, chat_id, parent_id, role, status, model, generation_id, prompt_tokens, completion_tokens,
              reasoning_tokens, cached_tokens, cost_nano_usd, created_at, finished_at),
      insert (user_id, id, chat_id, parent_id, role, status, parts, model, created_at),
      update (id, status, parts, model, generation_id, finish_reason, error_code, prompt_tokens, completion_tokens,
              reasoning_tokens, cached_tokens, cost_nano_usd, finished_at)
   on messages to app_job;
