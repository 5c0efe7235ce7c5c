//! A run, on real servers: what it stores, ends, asks for and seals anew, and what cannot stop it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod failures;
mod inbox;
mod missing_usage;
mod orphaned_turns;
mod provider_keys;
mod setup;
