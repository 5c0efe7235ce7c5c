//! A person's own key: what `OpenRouter` says of it, the turns that it pays for, and what these took.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with the line it stands on"
)]

mod check;
mod complete;
mod generation;
mod setup;
