-- Uploads: files in object storage, which users attach to questions.

-- keeps data: what updates rows is the body of a trigger's function

create domain upload_state as text check (value in ('pending', 'ready', 'deleted'));


-- The row is the only record of a file's objects, so it is deleted after them: a user with uploads cannot be deleted.
create table uploads (
  user_id        uuid          not null references users (id),
  id             uuid          not null,
  filename       text          not null check (octet_length(filename) between 1 and 200),
  -- As the client declared them: the type, the size and the SHA-256 of the file.
  declared_type  text          not null,
  size_bytes     bigint        not null check (size_bytes > 0),
  sha256         bytea         not null check (length(sha256) = 32),
  state          upload_state  not null,
  -- What inspection found: the type of the form for people and its size in pixels, or the pages; the type and the size of
  -- the form for models, and the tokens that it takes, estimated.
  media_type     text,
  width          integer,
  height         integer,
  pages          integer,
  model_type     text,
  model_bytes    bigint,
  tokens         integer,
  created_at     timestamptz   not null,
  -- When a job removes the objects and the row; null while it is kept.
  removal_at     timestamptz,
  primary key (user_id, id),
  check ((state = 'ready') <= (media_type is not null and model_type is not null and model_bytes is not null and tokens is not null)),
  check ((state <> 'ready') <= (removal_at is not null))
);

create index uploads_by_user on uploads (user_id, created_at, id);
create index uploads_by_removal on uploads (removal_at) where removal_at is not null;

alter table uploads enable row level security;
alter table uploads force row level security;
create policy uploads_own on uploads
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- The bytes of a user's pending and ready uploads, which the plan limits.
create table storage_usage (
  user_id  uuid    primary key references users (id) on delete cascade,
  bytes    bigint  not null check (bytes >= 0)
);

alter table storage_usage enable row level security;
alter table storage_usage force row level security;
create policy storage_usage_own on storage_usage
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


-- Which messages have which files.
create table message_files (
  user_id     uuid  not null,
  message_id  text  not null,
  upload_id   uuid  not null,
  primary key (user_id, message_id, upload_id),
  constraint message_files_message foreign key (user_id, message_id) references messages (user_id, id)
    on delete cascade on update cascade,
  constraint message_files_upload foreign key (user_id, upload_id) references uploads (user_id, id) on delete cascade
);

create index message_files_by_upload on message_files (upload_id, user_id);

alter table message_files enable row level security;
alter table message_files force row level security;
create policy message_files_own on message_files
  using (user_id = current_user_id())
  with check (user_id = current_user_id());

-- Files of erased messages are removed, unless another message has them: an hour later, so that a message that is stored
-- again meanwhile keeps them.
create function schedule_removal() returns trigger
  language plpgsql
as $$
begin
  update uploads u
     set removal_at = now() + interval '1 hour'
    from erased e
   where u.user_id = e.user_id
     and u.id = e.upload_id
     and u.state = 'ready'
     and not exists (select from message_files f where f.user_id = u.user_id and f.upload_id = u.id);
  return null;
end
$$;

create trigger message_files_erased
  after delete on message_files
  referencing old table as erased
  for each statement execute function schedule_removal();


grant select, insert,
      update (state, media_type, width, height, pages, model_type, model_bytes, tokens, removal_at)
   on uploads to app_user;
grant select, insert, update (bytes) on storage_usage to app_user;
grant select, insert on message_files to app_user;

-- Jobs remove what is due, of all users, and restore messages that a crash of the database lost. They read no name.
grant select (user_id, id, size_bytes, state, removal_at), update (state, removal_at), delete on uploads to app_job;
grant select, update (bytes) on storage_usage to app_job;
grant select, insert on message_files to app_job;
create policy uploads_job on uploads to app_job using (true);
create policy storage_usage_job on storage_usage to app_job using (true);
