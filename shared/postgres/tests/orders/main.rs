//! Orders, and the payments that fulfil them.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod checks;
mod creating;
mod fulfilling;
mod rights;
mod setup;
