-- Notes which message has which files, of those that are still there, and that they are kept as long as it is.
create or replace function link_files(of_user uuid, message text, files jsonb) returns void
  language plpgsql
as $$
begin
  insert into message_files (user_id, message_id, upload_id)
  select of_user, message, u.id
    from uploads u
   where u.user_id = of_user and u.state = 'ready' and u.id in (select value::uuid from jsonb_array_elements_text(files))
  on conflict do nothing;
  update uploads u
     set removal_at = null
   where u.user_id = of_user
     and u.state = 'ready'
     and u.removal_at is not null
     and u.id in (select value::uuid from jsonb_array_elements_text(files));
end
$$;
