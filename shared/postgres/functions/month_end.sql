-- The end of the calendar month in UTC, whatever the server's time zone. Months differ in length, so the month is added
-- to a timestamp without a time zone.
create or replace function month_end(at timestamptz) returns timestamptz
  language sql immutable parallel safe
  return (date_trunc('month', at at time zone 'UTC') + interval '1 month') at time zone 'UTC';
