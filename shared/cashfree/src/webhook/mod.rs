//! Webhooks: whether Cashfree has signed one, and what is read of it.

mod delivery;
mod redacted;
mod refund;
mod signature;

pub use delivery::{Delivery, DeliveryContent};
pub use refund::{DisputeReport, RefundReport};
pub use signature::{
    Freshness, SIGNATURE_HEADER, SignatureError, TIMESTAMP_HEADER, WebhookSecrets,
};
