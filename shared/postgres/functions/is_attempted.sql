-- Whether a turn has begun under this idempotency key. A turn that broke off without a word is as good as none: its key is
-- free for the next attempt.
create or replace function is_attempted(of_user uuid, attempt_key text) returns boolean
  language plpgsql
as $$
begin
  update turns t
     set idempotency_key = null
    from messages m
   where t.user_id = of_user
     and t.idempotency_key = attempt_key
     and t.state = 'released'
     and m.user_id = of_user
     and m.id = t.answer_id
     and m.status in ('failed', 'interrupted')
     and m.parts = '[]';
  perform from turns t where t.user_id = of_user and t.idempotency_key = attempt_key;
  return found;
end
$$;
