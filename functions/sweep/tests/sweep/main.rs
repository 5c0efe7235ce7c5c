//! Runs on real servers: inbox, orphaned turns, backfill of usage, key rotation, and failures.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod failures;
mod inbox;
mod key_rotation;
mod missing_usage;
mod orphaned_turns;
mod setup;
