//! Orders of plans, their payments, and what these give.

pub(crate) mod checks;
pub(crate) mod create;
pub(crate) mod payments;
pub(crate) mod stored;
