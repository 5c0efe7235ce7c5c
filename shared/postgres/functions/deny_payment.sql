-- Denies a turn: raises US004. The error's detail is JSON, `reason` and what the application needs to explain it.
create or replace function deny_payment(reason text, details jsonb) returns void
  language plpgsql
as $$
begin
  raise exception 'payment denied' using errcode = 'US004', detail = details || jsonb_build_object('reason', reason);
end
$$;
