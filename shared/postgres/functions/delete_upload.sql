-- Deletes an upload of a user: frees its bytes, and takes it out of the messages that have it, whose parts keep its name and
-- lose its URL. Its objects are removed six minutes later, when no URL is good for a PUT and no inspection writes any more. Returns
-- whether the user has such an upload, also if it is deleted already.
create or replace function delete_upload(of_user uuid, upload uuid, at timestamptz) returns boolean
  language plpgsql
as $$
begin
  -- A withdrawal of a turn locks its question before its files, this the files first: one after the other, no deadlock.
  perform queue_turns(of_user);
  if not free_upload(of_user, upload, at, at + interval '6 minutes', 'any') then
    perform from uploads u where u.user_id = of_user and u.id = upload;
    return found;
  end if;
  update messages m
     set parts = without_file(m.parts, upload)
   where m.user_id = of_user
     and m.id in (select f.message_id from message_files f where f.user_id = of_user and f.upload_id = upload);
  return true;
end
$$;
