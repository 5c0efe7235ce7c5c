//! What `OpenRouter` documents and the product relies on, checked over a real socket.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with the line it stands on"
)]

mod account;
mod client;
mod refusals;
mod streams;
