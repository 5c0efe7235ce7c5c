-- The parts of a question with files, as they are stored: `parts` of the turn, and a part for each upload in `files`, whose
-- type and name come from its row and not from the client. Locks the uploads, so that none is deleted before the question
-- is stored. `turn` as in `begin_turn`.
--
-- Errors, whose detail is the upload: US009 the user has no such upload; US010 its file is not there yet.
create or replace function attach_files(of_user uuid, turn jsonb) returns jsonb
  language plpgsql
as $$
declare
  parts  jsonb := turn -> 'parts';
  file   uuid;
  u      uploads;
begin
  for file in select value::uuid from jsonb_array_elements_text(turn -> 'files') loop
    select * into u from uploads where user_id = of_user and id = file for share;
    if u.state = 'pending' and u.created_at > (turn ->> 'uploads_expired_before')::timestamptz then
      raise exception 'upload missing' using errcode = 'US010', detail = file;
    elsif u.state is distinct from 'ready' then
      raise exception 'upload not found' using errcode = 'US009', detail = file;
    end if;
    parts := parts || jsonb_build_object(
      'type', 'file', 'url', '/api/uploads/' || file, 'mediaType', u.media_type, 'filename', u.filename,
      'providerMetadata', jsonb_build_object('upload', jsonb_strip_nulls(jsonb_build_object(
        'width', u.width, 'height', u.height, 'pages', u.pages,
        'modelType', u.model_type, 'modelBytes', u.model_bytes, 'tokens', u.tokens
      )))
    );
  end loop;
  return parts;
end
$$;
