//! Attempts to pay an order, as a test or the checkout page makes them.

use serde::{Deserialize, Serialize};

use crate::order::{OrderStatus, PaymentStatus};

/// An attempt to pay an order, and what its webhook and its payment say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub(crate) status: PaymentStatus,
    /// Whether a payment that is still pending has a `PAYMENT_SUCCESS_WEBHOOK`.
    pub(crate) is_announced: bool,
    pub(crate) began_earlier: bool,
    pub(crate) order_amount: Option<String>,
    pub(crate) order_currency: Option<String>,
    pub(crate) payment_amount: Option<String>,
}

impl Attempt {
    fn with_status(status: PaymentStatus) -> Self {
        Self {
            status,
            is_announced: false,
            began_earlier: false,
            order_amount: None,
            order_currency: None,
            payment_amount: None,
        }
    }

    /// The order is paid; if it was already, the payment is refunded.
    pub fn success() -> Self {
        Self::with_status(PaymentStatus::Success)
    }

    /// The bank refuses. The order stays payable.
    pub fn failure() -> Self {
        Self::with_status(PaymentStatus::Failed)
    }

    /// The customer leaves. The order stays payable.
    pub fn user_dropped() -> Self {
        Self::with_status(PaymentStatus::UserDropped)
    }

    /// In progress, without a webhook (*), until [`settle`](crate::FakeCashfree::settle).
    pub fn pending() -> Self {
        Self::with_status(PaymentStatus::Pending)
    }

    /// Late authorisation: like [`pending`](Self::pending), but a `PAYMENT_SUCCESS_WEBHOOK` says `PENDING`.
    pub fn late_authorisation() -> Self {
        Self { is_announced: true, ..Self::pending() }
    }

    /// Began while the order was active, whatever it is now.
    #[must_use]
    pub fn began_earlier(self) -> Self {
        Self { began_earlier: true, ..self }
    }

    /// With an offer, so that only this many rupees are paid.
    #[must_use]
    pub fn offer(self, payment_amount: &str) -> Self {
        Self { payment_amount: Some(payment_amount.to_owned()), ..self }
    }

    /// With this JSON text as `order_amount` in the webhook and the payment: `1`, `450.001`, `"450"`, …. The
    /// order itself is not changed.
    #[must_use]
    pub fn order_amount(self, json: &str) -> Self {
        Self { order_amount: Some(json.to_owned()), ..self }
    }

    /// With this `order_currency` in the webhook and the payment.
    #[must_use]
    pub fn order_currency(self, code: &str) -> Self {
        Self { order_currency: Some(code.to_owned()), ..self }
    }
}

/// Why there was no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// There is no such order.
    #[error("there is no such order")]
    UnknownOrder,
    /// The order takes no new attempt, only one that [began earlier](Attempt::began_earlier).
    #[error("the order is {}", .0.as_str())]
    NotActive(OrderStatus),
    /// There is no such payment, or it is not pending.
    #[error("there is no such payment that is pending")]
    NotPending,
}
