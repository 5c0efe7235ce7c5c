//! The domain: the product's rules, without side effects.
//!
//! Types that can only be made by parsing, the state machines of an answer and of the catalogue, and
//! one error enum per use case, in product words. No I/O, no clock and no randomness of its own:
//! clock and randomness are passed in ([`clock`], [`random`]), so a test controls both.

pub mod account;
pub mod answer;
pub mod catalogue;
pub mod chat;
pub mod clock;
pub mod credits;
pub mod email;
pub mod env;
mod error_chain;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod login;
pub mod model_error;
pub mod money;
pub mod outcome;
pub mod page;
pub mod plans;
pub mod prompt;
pub mod random;
pub mod session;
pub mod store;
pub mod turn;
pub mod usage;
pub mod vault;

pub use error_chain::error_chain;
