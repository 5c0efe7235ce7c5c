//! Client of Cashfree, the only crate that knows the payment gateway.
//!
//! [`Cashfree`] creates, asks for and terminates orders, and asks for the attempts to pay them
//! (<https://www.cashfree.com/docs/api-reference/payments/latest/orders/create>). [`WebhookSecrets`] verifies that
//! Cashfree has signed a webhook, and [`Delivery`] is what is read of it.
//!
//! Nothing that Cashfree reports is compared with an order here: that is done where the order is stored.

mod client;
mod config;
mod error;
mod object;
mod order;
mod payment;
mod rate_limits;
mod response;
mod webhook;

pub use client::Cashfree;
pub use config::{CashfreeConfig, Mode, UnknownMode};
pub use error::{CashfreeError, Refusal, ResponseError};
pub use order::{NewOrder, ProviderOrder, ProviderState};
pub use webhook::{
    Delivery, DeliveryContent, DisputeReport, Freshness, RefundReport, SIGNATURE_HEADER,
    SignatureError, TIMESTAMP_HEADER, WebhookSecrets,
};
