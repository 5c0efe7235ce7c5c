-- Denies a turn that no allowance can pay: either none includes the model, or the balances are too small.
-- `plan_rules` as in `pay_for_turn`.
create or replace function deny_for_credits(of_user uuid, at timestamptz, of_plan text, price integer, plan_rules jsonb)
  returns void
  language plpgsql
as $$
declare
  allowances jsonb;
begin
  select jsonb_agg(jsonb_build_object(
           'plan', plan, 'left', balance, 'granted', granted, 'endsAt', ends_at, 'renews', plan = 'free'
         ))
    into allowances
    from current_allowances(of_user, at, (plan_rules #> '{free,credits}')::integer)
   where (plan_rules -> plan -> 'includes')::boolean;
  if allowances is null then
    perform deny_payment('model_not_included', jsonb_build_object('plan', of_plan));
  end if;
  perform deny_payment('credits_exhausted', jsonb_build_object('plan', of_plan, 'needed', price, 'allowances', allowances));
end
$$;
