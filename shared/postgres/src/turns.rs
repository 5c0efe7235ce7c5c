//! `turns`: who pays for each and what it took; the functions are in the third and the fifth migration.

/// Ends a turn that was never sent.
pub(crate) const WITHDRAW: &str = "select end_turn($1, $2, 'withdrawn')";

/// For the limit on turns while the cache is away.
pub(crate) const COUNT_SINCE: &str = "
    select count(*), min(began_at)
      from turns
     where user_id = $1
       and began_at > $2
       and state <> 'withdrawn'";
