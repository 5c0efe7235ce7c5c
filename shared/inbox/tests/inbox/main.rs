//! The inbox, in a local DynamoDB.

#![expect(clippy::unwrap_used, reason = "helpers of tests: unwrapping is how they fail")]

mod items;
mod outages;
mod setup;
mod silence;
mod small;
mod unreadable;
