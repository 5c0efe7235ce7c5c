-- The paid period in force; of overlapping ones, the one that ends first.
create or replace function current_period(of_user uuid, at timestamptz) returns setof entitlements
  language sql stable
as $$
  select *
    from entitlements
   where user_id = of_user and starts_at <= at and ends_at > at and revoked_at is null
   order by ends_at
   limit 1
$$;
