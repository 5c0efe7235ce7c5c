//! Refunds and disputes, as webhooks report them.

use serde::{Deserialize, Serialize};

use crate::object::{Object, Unreadable};

/// A refund, as Cashfree reports it. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundReport {
    /// Cashfree's id of the refund, at most 64 characters.
    pub refund: String,
    /// Our id of it; none if Cashfree refunds by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The payment that is refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
    /// The order of that payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// What is refunded, as decimal text, as Cashfree wrote it.
    pub amount: String,
    /// Its currency.
    pub currency: String,
    /// Its status, such as `SUCCESS`, `PENDING`, `CANCELLED` or `ONHOLD`.
    pub status: String,
    /// Who began it, such as `MERCHANT_INITIATED` or `PAYMENT_AUTO_REFUND`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A dispute, as Cashfree reports it. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DisputeReport {
    /// Cashfree's id of the dispute, at most 64 characters.
    pub id: String,
    /// Its stage, such as `CHARGEBACK` or `ARBITRATION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its status, such as `CHARGEBACK_MERCHANT_LOST`.
    pub status: String,
    /// The order that is disputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The payment that is disputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
}

impl RefundReport {
    pub(super) fn read(refund: &Object<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            refund: refund.id("cf_refund_id")?,
            reference: refund.optional_id("refund_id")?,
            payment: refund.optional_id("cf_payment_id")?,
            order: refund.optional_id("order_id")?,
            amount: refund.amount("refund_amount")?,
            currency: refund.word("refund_currency")?,
            status: refund.word("refund_status")?,
            kind: refund.word("refund_type").ok(),
        })
    }
}

impl DisputeReport {
    pub(super) fn read(
        dispute: &Object<'_>,
        order: Option<&Object<'_>>,
    ) -> Result<Self, Unreadable> {
        let of_order = |name| order.map_or(Ok(None), |order| order.optional_id(name));
        Ok(Self {
            id: dispute.id("dispute_id")?,
            kind: dispute.word("dispute_type").ok(),
            status: dispute.word("dispute_status")?,
            order: of_order("order_id")?,
            payment: of_order("cf_payment_id")?,
        })
    }
}
