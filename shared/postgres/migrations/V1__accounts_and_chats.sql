-- Accounts, chats and messages, with row-level security from the first table on.
--
-- Every tenant table has forced row-level security keyed on `app.user_id`, a setting that lives as
-- long as one transaction. The app role owns nothing, so it cannot switch it off; a query that
-- forgets its `where` sees the rows of one user, and a connection without the setting sees none.

do $$
begin
  -- Roles belong to the server, not to the database: another database may have made it already.
  if not exists (select from pg_roles where rolname = 'app_user') then
    create role app_user login nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
exception
  when duplicate_object or unique_violation then null;
end
$$;

-- `nullif`: a setting that was once set in a connection reads as '' after its transaction.
create function current_user_id() returns uuid
  language sql stable parallel safe
  return nullif(current_setting('app.user_id', true), '')::uuid;

-- The address whose owner has just proved, by a code, that it is theirs. Only logging in sets it.
create function current_login_email() returns text
  language sql stable parallel safe
  return nullif(current_setting('app.login_email', true), '');


create table users (
  id          uuid        primary key,
  email       text        not null unique check (email = lower(email) and length(email) <= 254),
  name        text        check (length(name) between 1 and 100),
  created_at  timestamptz not null
);

alter table users enable row level security;
alter table users force row level security;
create policy users_own on users
  using (id = (select current_user_id()))
  with check (id = (select current_user_id()));
create policy users_login on users
  using (email = (select current_login_email()))
  with check (email = (select current_login_email()));


create table sessions (
  id            uuid        primary key,
  user_id       uuid        not null references users (id) on delete cascade,
  user_agent    text        check (length(user_agent) <= 300),
  created_at    timestamptz not null,
  last_seen_at  timestamptz not null,
  expires_at    timestamptz not null,
  revoked_at    timestamptz
);

create index sessions_by_user on sessions (user_id, id);

alter table sessions enable row level security;
alter table sessions force row level security;
create policy sessions_own on sessions
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- Ids of chats and messages are text: the browser's chat client makes its own, 16 characters long,
-- and has to find the chat again under it. `(id, user_id)` is unique so that a message can be tied
-- to its chat *and* its chat's owner by one foreign key.
create table chats (
  id          text        primary key check (length(id) between 8 and 64),
  user_id     uuid        not null references users (id) on delete cascade,
  title       text        not null,
  head_id     text,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  unique (id, user_id)
);

alter table chats enable row level security;
alter table chats force row level security;
create policy chats_own on chats
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- A tree: an edited question or a second answer is a sibling, so that nothing said is ever lost.
-- Ids can change (`on update cascade`): a question that is edited keeps its id in the browser, so the
-- one that was there before steps aside under another.
-- `chats.head_id` is the newest message of the branch that is shown.
create table messages (
  id                 text        primary key check (length(id) between 8 and 64),
  chat_id            text        not null,
  user_id            uuid        not null,
  parent_id          text,
  role               text        not null check (role in ('user', 'assistant')),
  status             text        not null check (status in ('streaming', 'complete', 'stopped', 'interrupted', 'failed')),
  parts              jsonb       not null,
  model              text,
  generation_id      text,
  finish_reason      text,
  error_code         text,
  prompt_tokens      integer,
  completion_tokens  integer,
  reasoning_tokens   integer,
  cached_tokens      integer,
  cost_nano_usd      bigint,
  created_at         timestamptz not null,
  finished_at        timestamptz,
  unique (id, chat_id),
  constraint messages_chat   foreign key (chat_id, user_id)   references chats (id, user_id) on delete cascade,
  constraint messages_parent foreign key (parent_id, chat_id) references messages (id, chat_id) on delete cascade on update cascade
);

create index messages_by_chat on messages (chat_id, created_at);
create index answers_by_user on messages (user_id, created_at) where role = 'assistant';

alter table chats
  add constraint chats_head foreign key (head_id, id) references messages (id, chat_id) on update cascade;

alter table messages enable row level security;
alter table messages force row level security;
create policy messages_own on messages
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- A summary stands for everything on the branch up to and including `through_id`; it deletes nothing.
create table summaries (
  id          uuid        primary key,
  chat_id     text        not null,
  user_id     uuid        not null,
  through_id  text        not null,
  content     text        not null,
  created_at  timestamptz not null,
  constraint summaries_chat    foreign key (chat_id, user_id)    references chats (id, user_id) on delete cascade,
  constraint summaries_through foreign key (through_id, chat_id) references messages (id, chat_id) on delete cascade on update cascade
);

create index summaries_by_chat on summaries (chat_id, created_at desc);

alter table summaries enable row level security;
alter table summaries force row level security;
create policy summaries_own on summaries
  using (user_id = (select current_user_id()))
  with check (user_id = (select current_user_id()));


-- The door of every user's request: says who it is for the rest of the transaction, and refuses a
-- session that was logged out, has ended or was idle for too long. It raises, so that the
-- statements that are already on their way behind it fail with it. SQLSTATE `US001` is ours.
--
-- A session that is in use is touched at most every ten minutes, so that reading stays reading.
create function enter_session(of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz) returns void
  language plpgsql
as $$
declare
  seen timestamptz;
begin
  perform set_config('app.user_id', of_user::text, true);
  select last_seen_at into seen
    from sessions
   where id = with_session and revoked_at is null and expires_at > at and last_seen_at > idle_since;
  if not found then
    raise exception 'session has ended' using errcode = 'US001';
  end if;
  if seen < at - interval '10 minutes' then
    update sessions set last_seen_at = at where id = with_session;
  end if;
end
$$;


-- All that happens before the model is asked, in one statement: one message there, one answer back,
-- one transaction. The app's role runs it with its own rights, so row-level security holds inside.
--
-- `place` says where the turn goes: `next` below the chat's head, `instead` of the question, which
-- then steps aside under the id `aside`, or `again` below the question, which is read and not stored.
-- Answers with what was said before, nearest first (for `again` the question itself comes first), and
-- with the newest summary in a row of role `summary`.
--
-- It does not wait for the disk; docs/decisions/0003 says why, and what that may lose.
create function begin_turn(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz,
  chat text, first_title text, place text, question text, aside text,
  question_parts jsonb, answer text, asked_model text, context_size integer
) returns table (said_by text, said jsonb)
  language plpgsql
as $$
declare
  above text;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform enter_session(of_user, with_session, at, idle_since);

  -- Locked until the end: one turn at a time finds its place, and the next one sees where this one
  -- has put the head. A chat that is somebody else's is not there.
  insert into chats (id, user_id, title, created_at, updated_at)
  values (chat, of_user, first_title, at, at)
  on conflict (id) do nothing;
  select head_id into above from chats where id = chat for update;
  if not found then
    raise exception 'chat not found' using errcode = 'US002';
  end if;

  if place <> 'next' then
    select case place when 'instead' then parent_id else id end into above
      from messages
     where id = question and chat_id = chat and role = 'user';
    if not found then
      raise exception 'message not found' using errcode = 'US003';
    end if;
  end if;

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
    select branch.role, branch.parts from branch order by branch.depth;
  return query
    select 'summary', to_jsonb(s.content)
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
  update chats set head_id = answer, updated_at = at where id = chat;
end
$$;


revoke all on schema public from public;
grant usage on schema public to app_user;
grant select, insert, update, delete on users, sessions, chats, messages, summaries to app_user;
