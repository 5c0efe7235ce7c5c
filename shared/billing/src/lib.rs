//! Rules of billing that need several systems and have several callers: `orders`, which sells plans, `webhook`, which is
//! told of payments, and `sweep`, which asks about those that nobody has told it of.

mod delivery;
mod fulfil;

pub use delivery::{DELIVERIES, NotADelivery, StoredDelivery};
pub use fulfil::{FulfilError, fulfil_paid_order};
