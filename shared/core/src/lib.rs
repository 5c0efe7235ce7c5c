//! The domain: the product's rules, without side effects.
//!
//! Types that can only be made by parsing, the state machine of an answer, and
//! one error enum per use case, in product words. No I/O, no clock and no randomness of its own:
//! clock and randomness are passed in ([`clock`], [`random`]), so a test controls both.

pub mod billing;
pub mod chat;
pub mod clock;
pub mod env;
mod error_chain;
pub mod idempotency_key;
pub mod identity;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod models;
pub mod page;
pub mod random;
pub mod store;
mod this_machine;
pub mod uploads;

pub use error_chain::error_chain;
pub use this_machine::is_this_machine;
