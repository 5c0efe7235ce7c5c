-- Frees an idempotency key whose turn broke off without a word: that is as good as none, and the next attempt may use the
-- key. Returns whether the key is free; if not, a turn has begun under it.
create or replace function free_idempotency_key(of_user uuid, attempt_key text) returns boolean
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
  return not found;
end
$$;
