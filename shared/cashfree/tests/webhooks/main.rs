//! Webhooks: which are accepted as Cashfree's, and what is read of them.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod delivery;
mod fixtures;
mod signature;
mod signed;
