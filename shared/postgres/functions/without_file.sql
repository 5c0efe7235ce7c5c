-- A message's parts without an upload that is deleted: its part keeps the name and loses the URL.
create or replace function without_file(parts jsonb, upload uuid) returns jsonb
  language sql
  immutable
as $$
  select jsonb_agg(case p.part ->> 'url' when '/api/uploads/' || upload then p.part || '{"url": ""}' else p.part end
                   order by p.place)
    from jsonb_array_elements(parts) with ordinality as p (part, place)
$$;
