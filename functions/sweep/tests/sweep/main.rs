//! A run, on real servers: what it stores, ends, asks for and seals anew, and what cannot stop it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod inbox;
mod provider_keys;
mod setup;
mod stale_turns;
mod trouble;
mod unpriced;
