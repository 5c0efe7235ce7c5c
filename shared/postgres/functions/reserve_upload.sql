-- Reserves storage for a file and notes the upload that will bring it. `wanted` is an object: id, filename, declared_type,
-- sha256 (hex), size, removal_at (when it is removed if it is not completed), and plan_limits: for each plan, `file_bytes`,
-- the largest file of this type; `stored_bytes`, the most that a user may store; `is_reached`, whether the limit on uploads
-- is, where the cache counts them; and `uploads`, the most since `counted_since`, where it does not.
--
-- `outcome` is `reserved`, `too_large`, `too_many` or `storage_full`; nothing is reserved unless it is the first. A retry
-- changes nothing. Uploads of one user queue for the row of their storage, so concurrent ones cannot exceed a limit.
create or replace function reserve_upload(of_user uuid, at timestamptz, wanted jsonb)
  returns table (outcome text, plan text, used_bytes bigint, oldest timestamptz)
  language plpgsql
as $$
declare
  size    bigint := (wanted ->> 'size')::bigint;
  limits  jsonb;
  used    bigint;
begin
  outcome := 'reserved';
  select p.plan into plan from current_period(of_user, at) p where wanted -> 'plan_limits' ? p.plan;
  plan := coalesce(plan, 'free');
  limits := wanted -> 'plan_limits' -> plan;
  perform from uploads u where u.user_id = of_user and u.id = (wanted ->> 'id')::uuid;
  if found then
    return next;
    return;
  elsif size > (limits ->> 'file_bytes')::bigint then
    outcome := 'too_large';
    return next;
    return;
  elsif (limits ->> 'is_reached')::boolean then
    outcome := 'too_many';
    return next;
    return;
  end if;

  insert into storage_usage (user_id, bytes) values (of_user, 0) on conflict do nothing;
  select s.bytes into used_bytes from storage_usage s where s.user_id = of_user for update;
  if limits ? 'uploads' then
    select count(*), min(u.created_at) into used, oldest
      from uploads u
     where u.user_id = of_user and u.created_at > (wanted ->> 'counted_since')::timestamptz;
    if used >= (limits ->> 'uploads')::bigint then
      outcome := 'too_many';
      return next;
      return;
    end if;
  end if;
  if used_bytes + size > (limits ->> 'stored_bytes')::bigint then
    outcome := 'storage_full';
    return next;
    return;
  end if;
  update storage_usage s set bytes = s.bytes + size where s.user_id = of_user;
  insert into uploads (user_id, id, filename, declared_type, size_bytes, sha256, state, created_at, removal_at)
  values (of_user, (wanted ->> 'id')::uuid, wanted ->> 'filename', wanted ->> 'declared_type', size,
          decode(wanted ->> 'sha256', 'hex'), 'pending', at, (wanted ->> 'removal_at')::timestamptz);
  return next;
end
$$;
