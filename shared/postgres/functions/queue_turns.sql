-- Makes transactions that begin or withdraw a turn of the same user run one after another, from here to their ends.
create or replace function queue_turns(of_user uuid) returns void
  language sql
as $$
  select pg_advisory_xact_lock(hashtextextended(of_user::text, 0))
$$;
