//! A user's own key (BYOK): its check, the turns that it pays for, and the lookup of their usage.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with the line it stands on"
)]

mod check;
mod complete;
mod generation;
mod setup;
