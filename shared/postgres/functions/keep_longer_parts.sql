-- Keeps the longer of two interrupted answers. More than one process can close an orphaned turn, each with the
-- beginning of the text that it could read. A trigger, because it sees the stored text under the row's lock, and on
-- behalf of jobs, which may not read it.
create or replace function keep_longer_parts() returns trigger
  language plpgsql
as $$
begin
  return null;
end
$$;

create or replace trigger messages_keep_longer_parts before update of parts on messages
  for each row
  when (old.status = 'interrupted' and new.status = 'interrupted' and length(new.parts::text) <= length(old.parts::text))
  execute function keep_longer_parts();
