-- What the prompt of a turn needs of its chat: the `size` messages of the branch that ends with `above`, as rows of kind
-- `user` or `assistant`, nearest first; and the newest summary, if there is one, as a row of kind `summary`.
create or replace function turn_context(of_user uuid, in_chat text, above text, size integer)
  returns table (kind text, body jsonb)
  language sql stable
as $$
  with recursive branch as (
    select m.parent_id, m.role, m.parts, 1 as depth
      from messages m
     where m.user_id = of_user and m.id = above
    union all
    select m.parent_id, m.role, m.parts, b.depth + 1
      from branch b
      cross join lateral (
             select p.parent_id, p.role, p.parts from messages p where p.user_id = of_user and p.id = b.parent_id offset 0
           ) m
     where b.depth < size
  )
  (select branch.role::text, branch.parts from branch order by branch.depth)
  union all
  (select 'summary', to_jsonb(s.content)
     from summaries s
    where s.user_id = of_user and s.chat_id = in_chat
    order by s.created_at desc
    limit 1)
$$;
