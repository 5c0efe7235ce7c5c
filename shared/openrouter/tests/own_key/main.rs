//! A person's own key: what `OpenRouter` says of it, and the turns that it pays for.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with the line it stands on"
)]

mod ask;
mod check;
mod setup;
