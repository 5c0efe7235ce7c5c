-- Deletes an upload: frees its bytes, once, and leaves its objects and its row to a job, at `removal`. Only one that is
-- `in_state`: `due`, if its removal is at `at`; `pending`; or `any`. Returns whether this call deleted it.
create or replace function free_upload(of_user uuid, upload uuid, at timestamptz, removal timestamptz, in_state text)
  returns boolean
  language plpgsql
as $$
declare
  freed bigint;
begin
  update uploads u
     set state = 'deleted',
         removal_at = removal
   where u.user_id = of_user
     and u.id = upload
     and u.state <> 'deleted'
     and case in_state when 'due' then u.removal_at <= at when 'pending' then u.state = 'pending' else true end
  returning u.size_bytes into freed;
  if not found then
    return false;
  end if;
  update storage_usage s set bytes = s.bytes - freed where s.user_id = of_user;
  return true;
end
$$;
