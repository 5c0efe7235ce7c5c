-- Histories of the users of growth.rs, each named by its index in the address. Foreign keys are not checked: the rows
-- are consistent by construction.
set session_replication_role = replica;

-- A chat of 10 messages, and one of 10,000. `turns` stays 0, because a plan limits the turns of a chat.
with sizes (number, messages) as (values (0, 10), (1, 10000)),
chat as (
  insert into chats (user_id, id, title, head_id, created_at, updated_at)
  select u.id, 'bench-chat-' || lpad(number::text, 6, '0'), 'a title', 'message-' || messages, now(), now()
    from sizes join users u on u.email = 'user-' || number || '@example.com'
)
insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
select u.id, 'message-' || n, 'bench-chat-' || lpad(number::text, 6, '0'), case when n > 1 then 'message-' || n - 1 end,
       case n % 2 when 1 then 'user' else 'assistant' end, 'complete',
       '[{"type":"text","text":"Trees lose their leaves because water is scarce in winter."}]',
       now() - interval '1 day' + n * interval '1 second'
  from sizes join users u on u.email = 'user-' || number || '@example.com'
 cross join generate_series(1, messages) n;

-- 100,000 turns in 1,000 chats, paid by credits of this period (3) and by the user's own key (5).
with payers (email, plan) as (values ('user-3@example.com', 'premium'), ('user-5@example.com', null)),
payer as (
  select u.id, p.plan, case when p.plan is not null then a.starts_at end as starts_at
    from payers p join users u using (email) join allowances a on a.user_id = u.id
),
chat as (
  insert into chats (user_id, id, title, head_id, turns, created_at, updated_at)
  select id, 'chat-' || lpad(n::text, 6, '0'), 'a title', 'message-' || 200 * (n + 1), 100, now(), now()
    from payer cross join generate_series(0, 999) n
),
message as (
  insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
  select id, 'message-' || n, 'chat-' || lpad(((n - 1) / 200)::text, 6, '0'),
         case when n % 200 <> 1 then 'message-' || n - 1 end,
         case n % 2 when 1 then 'user' else 'assistant' end, 'complete', '[{"type":"text","text":"so"}]',
         now() - interval '1 day' + n * interval '0.1 seconds'
    from payer cross join generate_series(1, 200000) n
),
ledger as (
  insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
  select id, plan, starts_at, 'message-' || 2 * n, 'reserve', -1, now()
    from payer cross join generate_series(1, 100000) n where plan is not null
),
spent as (
  insert into byok_spending select id, date_trunc('month', now(), 'UTC'), 100000 from payer where plan is null
)
insert into turns (user_id, answer_id, chat_id, model, paid_by, plan, starts_at, credits, state, cost_nano_usd,
                   began_at, ended_at)
select id, 'message-' || 2 * n, 'chat-' || lpad(((n - 1) / 100)::text, 6, '0'), 'openai/bench',
       case when plan is null then 'byok' else 'credits' end, plan, starts_at, case when plan is null then 0 else 1 end,
       'settled', 1, now() - interval '1 day' + n * interval '0.2 seconds', now()
  from payer cross join generate_series(1, 100000) n;
