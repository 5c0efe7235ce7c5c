-- What a turn that begins has to know of its session, of who could pay, and of its place in the chat, read in one
-- statement: the paid period, the own key, the chat's head `above` and the stored `question`. No row if the session is not
-- valid. Each table is looked up by its key alone: a second condition would let the planner choose another index while the
-- table is empty.
create or replace function turn_inputs(
  of_user uuid, with_session uuid, at timestamptz, idle_since timestamptz, in_chat text, above text, question text
) returns table (
  is_touch_due boolean,
  plan text, starts_at timestamptz, ends_at timestamptz, credits integer,
  policy text, cap_nano_usd bigint, refused_at timestamptz, nonce bytea, ciphertext bytea, wrapped bytea, data_key uuid,
  master text,
  head_status text, head_at timestamptz,
  is_stored boolean, parent_id text
)
  language sql stable
as $$
  select s.is_touch_due,
         p.plan, p.starts_at, p.ends_at, p.credits,
         k.policy, k.cap_nano_usd, k.refused_at, k.nonce, k.ciphertext, d.wrapped, d.id, d.master,
         h.status, h.created_at,
         q.chat_id = in_chat and q.role = 'user', q.parent_id
    from valid_session(with_session, at, idle_since) s
    left join current_period(of_user, at) p on true
    left join provider_keys k on k.user_id = of_user
    left join data_keys d on d.id = k.data_key
    left join messages h on h.user_id = of_user and h.id = above
    left join messages q on q.user_id = of_user and q.id = question
$$;
