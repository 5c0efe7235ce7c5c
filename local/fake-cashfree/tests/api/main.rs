//! What Cashfree documents and the product relies on, checked over a real socket.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with the line it stands on"
)]

mod checkout;
mod client;
mod idempotency;
mod orders;
mod payments;
mod receiver;
mod sending;
mod troubles;
mod webhooks;
