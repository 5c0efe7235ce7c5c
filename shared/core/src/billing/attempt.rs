//! Payment attempts, as the payment provider reports them, and what becomes of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The status of an attempt that has paid.
pub const SUCCESS: &str = "SUCCESS";

/// An attempt to pay an order, as the provider reports it, in a webhook or when it is asked. Nothing in it is verified:
/// Postgres compares it with the order (`fulfil_order`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAttempt {
    /// The provider's id of the payment, at most 64 characters.
    pub payment: String,
    /// The order, which may be another deployment's: the provider's accounts can be shared.
    pub order: String,
    /// Its status, such as `SUCCESS`, `FAILED`, `PENDING` or `USER_DROPPED`.
    pub status: String,
    /// The order's amount as decimal text, as the provider wrote it.
    pub order_amount: String,
    /// The order's currency.
    pub currency: String,
    /// What was paid, as decimal text: less than the order's amount with an offer, more with a surcharge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// When it was paid or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl PaymentAttempt {
    /// Whether it has paid.
    pub fn is_success(&self) -> bool {
        self.status == SUCCESS
    }
}

/// What became of a reported payment attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fulfilment {
    /// The order is paid by it, and what it bought is given.
    Fulfilled,
    /// It was recorded before; nothing has changed.
    Duplicate,
    /// Recorded. It has not paid (yet): failed, dropped or pending.
    Unpaid,
    /// Recorded. The order is paid already, by another payment; the provider refunds this one.
    SecondPayment,
    /// Recorded, and gives nothing: its amount or currency is not the order's.
    Mismatch,
    /// Recorded, and gives nothing: the user's account is deleted.
    UserGone,
    /// There is no such order here. Nothing is recorded.
    UnknownOrder,
}

impl Fulfilment {
    const ALL: [Self; 7] = [
        Self::Fulfilled,
        Self::Duplicate,
        Self::Unpaid,
        Self::SecondPayment,
        Self::Mismatch,
        Self::UserGone,
        Self::UnknownOrder,
    ];

    /// The word of the database, of the log and of the inbox.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fulfilled => "fulfilled",
            Self::Duplicate => "duplicate",
            Self::Unpaid => "unpaid",
            Self::SecondPayment => "second_payment",
            Self::Mismatch => "mismatch",
            Self::UserGone => "user_gone",
            Self::UnknownOrder => "unknown_order",
        }
    }

    /// Parses the database's word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// Whether an operator has to look: money came in for which nothing was given.
    pub const fn needs_operator(self) -> bool {
        matches!(self, Self::Mismatch | Self::UserGone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_has_a_word() {
        for result in Fulfilment::ALL {
            assert_eq!(Fulfilment::parse(result.as_str()), Some(result));
        }
        assert_eq!(Fulfilment::parse("paid"), None);
    }
}
