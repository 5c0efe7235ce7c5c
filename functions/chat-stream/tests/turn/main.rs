//! Turns, from the wire to the database, against a real cache, a real Postgres and a fake provider.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod answers;
mod app;
mod byok;
mod chat;
mod duplicates;
mod failures;
mod file_refusals;
mod files;
mod kills;
mod orphaned;
mod outage;
mod paying;
mod reading;
mod refusals;
mod resume;
mod speculation;
mod stop;
