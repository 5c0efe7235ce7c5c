//! The client, against a server whose answers are scripted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod create;
mod lookups;
mod rate_limits;
mod secrecy;
mod server;
mod setup;
