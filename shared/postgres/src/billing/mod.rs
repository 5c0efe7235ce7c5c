//! Who pays for a turn, and what turns have used.

pub(crate) mod missing_usage;
pub(crate) mod payment;
pub(crate) mod usage;
pub(crate) mod usage_columns;
