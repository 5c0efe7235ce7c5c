-- Users' own OpenRouter keys (BYOK) under envelope encryption: the master key is never in a database.

-- Data keys, each encrypted (wrapped) by one master key. One per master key, shared by all users.
create table data_keys (
  id          uuid        primary key,
  master      text        not null unique,
  wrapped     bytea       not null,
  created_at  timestamptz not null
);

-- At most one key per user, as ciphertext. The user id is authenticated with it (associated data), so a row that is
-- moved to another user cannot be decrypted.
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
  using (user_id = current_user_id())
  with check (user_id = current_user_id());


grant select, insert on data_keys to app_user;
grant select, insert, update, delete on provider_keys to app_user;
-- Key rotation re-encrypts the keys of all users.
grant select, insert, delete on data_keys to app_job;
grant select, update (data_key, nonce, ciphertext) on provider_keys to app_job;
create policy provider_keys_job on provider_keys to app_job using (true);
