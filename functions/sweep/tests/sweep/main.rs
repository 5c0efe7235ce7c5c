//! Runs on real servers: payments, inbox, orphaned turns, backfill of usage, key rotation, and failures.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod comparisons;
mod deliveries;
mod failures;
mod inbox;
mod key_rotation;
mod missing_usage;
mod order_limits;
mod orders;
mod orphaned_turns;
mod payments;
mod setup;
mod stale_deliveries;
mod uploads;
