//! A run, on the real Postgres: what it ends, what it seals anew, and what cannot stop it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod provider_keys;
mod setup;
mod trouble;
mod turns;
