//! Durability of turns: duplicate requests, races, orphaned turns, and turns that are stored late or were lost.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod begin_once;
mod duplicates;
mod empty_answers;
mod finish;
mod missing_usage;
mod setup;
mod store_finished;
