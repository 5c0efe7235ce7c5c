-- Stores what begins with a turn, in one statement: its row, the reserve in the ledger, the question, the open answer and
-- the chat's new head. `turn` as in `begin_turn`; `above` and `turns_held` as in `pay_for_turn`. `credits_plan` and
-- `first_at` identify the allowance that pays; null if an own key does.
create or replace function store_turn(
  of_user uuid, at timestamptz, turn jsonb, above text, turns_held integer, credits_plan text, first_at timestamptz
) returns void
  language plpgsql
as $$
declare
  in_chat      text := turn ->> 'chat';
  placement    text := turn ->> 'placement';
  question     text := turn ->> 'question';
  answer       text := turn ->> 'answer';
  asked_model  text := turn ->> 'model';
  price        integer := (turn ->> 'price')::integer;
  asked_parts  jsonb := turn -> 'parts';
  attempt_key  text := turn ->> 'idempotency_key';
begin
  if placement = 'edit' then
    update messages m set id = turn ->> 'displaced_id' where m.user_id = of_user and m.id = question;
  end if;
  with entered as (
    insert into credit_ledger (user_id, plan, starts_at, reference, kind, amount, created_at)
    select of_user, credits_plan, first_at, answer, 'reserve', -price, at
     where credits_plan is not null
  ), opened as (
    insert into turns
      (user_id, answer_id, chat_id, model, paid_by, plan, starts_at, credits, state, began_at, idempotency_key)
    values
      (of_user, answer, in_chat, asked_model, case when credits_plan is null then 'byok' else 'credits' end, credits_plan,
       first_at, case when credits_plan is null then 0 else price end, 'open', at, attempt_key)
  ), stored as (
    insert into messages (user_id, id, chat_id, parent_id, role, status, parts, model, created_at)
    select of_user, m.id, in_chat, m.parent, m.role, m.status, m.parts, m.model, at
      from (values
             (question, above, 'user', 'complete', asked_parts, null),
             (answer, question, 'assistant', 'streaming', '[]', asked_model)
           ) as m (id, parent, role, status, parts, model)
     where m.role = 'assistant' or placement <> 'regenerate'
  )
  update chats c
     set head_id = answer, updated_at = at, turns = turns_held + 1
   where c.user_id = of_user and c.id = in_chat;
  if turn ? 'files' then
    perform link_files(of_user, question, turn -> 'files');
    -- A question without text names its chat by its first file.
    update chats c
       set title = left(asked_parts -> 0 ->> 'filename', 80)
     where c.user_id = of_user and c.id = in_chat and c.title = '';
  end if;
end
$$;
