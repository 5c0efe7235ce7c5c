-- Reserves storage for a file and notes the upload that will bring it. `wanted` is an object: id, filename, declared_type,
-- sha256 (hex), size, removal_at (when it is removed if it is not completed), and plan_limits: for each plan, `file_bytes`,
-- the largest file of this type; `stored_bytes`, the most that a user may store; `is_reached`, whether the limit on uploads
-- is, where the cache counts them; and `uploads`, the most since `counted_since`, where it does not.
--
-- `outcome` is `reserved`, `too_large`, `too_many` or `storage_full`; nothing is reserved unless it is the first. A retry
-- changes nothing. Uploads of one user queue for the row of their storage, so concurrent ones cannot exceed a limit.
--
-- Commits asynchronously: a crash of Postgres may lose the reservations of the last half second. Their uploads are then
-- unknown, and their clients declare them again.
create or replace function reserve_upload(of_user uuid, at timestamptz, wanted jsonb)
  returns table (outcome text, plan text, used_bytes bigint, oldest timestamptz)
  language plpgsql
as $$
declare
  new_id  uuid := (wanted ->> 'id')::uuid;
  size    bigint := (wanted ->> 'size')::bigint;
  limits  jsonb;
  used    bigint;
begin
  perform set_config('synchronous_commit', 'off', true);
  outcome := 'reserved';
  select p.plan into plan from current_period(of_user, at) p where wanted -> 'plan_limits' ? p.plan;
  plan := coalesce(plan, 'free');
  limits := wanted -> 'plan_limits' -> plan;
  if size > (limits ->> 'file_bytes')::bigint then
    outcome := 'too_large';
    return next;
    return;
  elsif (limits ->> 'is_reached')::boolean then
    outcome := 'too_many';
    return next;
    return;
  end if;

  select s.bytes into used_bytes from storage_usage s where s.user_id = of_user for update;
  if not found then
    insert into storage_usage as s (user_id, bytes) values (of_user, 0)
      on conflict (user_id) do update set bytes = s.bytes
      returning s.bytes into used_bytes;
  end if;
  if limits ? 'uploads' then
    select count(*), min(u.created_at) into used, oldest
      from uploads u
     where u.user_id = of_user and u.created_at > (wanted ->> 'counted_since')::timestamptz;
  end if;
  if used >= (limits ->> 'uploads')::bigint then
    outcome := 'too_many';
  elsif used_bytes + size > (limits ->> 'stored_bytes')::bigint then
    outcome := 'storage_full';
  end if;
  if outcome <> 'reserved' then
    -- The first attempt may have been committed while its connection died: then it is counted already.
    if exists (select from uploads u where u.user_id = of_user and u.id = new_id) then
      outcome := 'reserved';
    end if;
    return next;
    return;
  end if;

  insert into uploads (user_id, id, filename, declared_type, size_bytes, sha256, state, created_at, removal_at)
  values (of_user, new_id, wanted ->> 'filename', wanted ->> 'declared_type', size,
          decode(wanted ->> 'sha256', 'hex'), 'pending', at, (wanted ->> 'removal_at')::timestamptz)
      on conflict do nothing;
  if found then
    update storage_usage s set bytes = s.bytes + size where s.user_id = of_user;
  end if;
  return next;
end
$$;
