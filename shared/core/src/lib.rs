//! The product's rules, and nothing that touches the world.
//!
//! Types that can only be made by parsing, the state machines of an answer and of the catalogue, and
//! one error enum per use case, in product words. No I/O, no clock and no randomness of its own:
//! time and chance come in through [`ambient`], so a test decides both.

pub mod account;
pub mod ambient;
pub mod answer;
pub mod catalogue;
mod causes;
pub mod chat;
pub mod credits;
pub mod email;
pub mod ending;
pub mod env;
pub mod failure;
mod figure;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod login;
pub mod money;
pub mod plans;
pub mod prompt;
pub mod session;
pub mod turn;
pub mod usage;
pub mod vault;

pub use causes::causes;
