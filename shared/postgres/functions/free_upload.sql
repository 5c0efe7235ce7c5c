-- Deletes an upload: frees its bytes, once, and leaves its objects and its row to a job, at `removal`. If `only_due`, only
-- one whose removal is due at `at`. Returns whether this call deleted it.
create or replace function free_upload(of_user uuid, upload uuid, at timestamptz, removal timestamptz, only_due boolean)
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
     and (not only_due or u.removal_at <= at)
  returning u.size_bytes into freed;
  if not found then
    return false;
  end if;
  update storage_usage s set bytes = s.bytes - freed where s.user_id = of_user;
  return true;
end
$$;
