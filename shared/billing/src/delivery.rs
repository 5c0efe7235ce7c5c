//! Deliveries of the payment provider's webhook in the inbox, until they are processed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_cashfree::{Delivery, DeliveryContent, Freshness};
use shared_core::billing::PaymentAttempt;
use shared_inbox::{InboxError, InboxItem, Kind};

/// Deliveries that wait for Postgres, or for the provider's confirmation.
pub const DELIVERIES: Kind = Kind::small("delivery");

/// What is kept of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredDelivery {
    /// What was read of it.
    pub delivery: Delivery,
    /// Whether its signature is old: a retry that was signed before, or a replay. It counts if the provider confirms it.
    pub is_stale: bool,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// The body is not a delivery in this version's format. Holds no content of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has a body that is not a delivery")]
pub struct NotADelivery;

impl StoredDelivery {
    /// A delivery that arrived at `received_at`.
    pub fn new(delivery: Delivery, freshness: Freshness, received_at: Timestamp) -> Self {
        Self { delivery, is_stale: freshness == Freshness::Stale, received_at }
    }

    /// The payment attempt that it reports, if it is about one.
    pub fn attempt(&self) -> Option<&PaymentAttempt> {
        match &self.delivery.content {
            DeliveryContent::Payment(attempt) => Some(attempt),
            DeliveryContent::Refund(_)
            | DeliveryContent::Dispute(_)
            | DeliveryContent::Other(_)
            | DeliveryContent::NotJson => None,
        }
    }

    /// Its item in the inbox. Repetitions of a delivery have one id; a stale one has another, because a fresh one counts
    /// for more.
    pub fn inbox_item(&self) -> Result<InboxItem, InboxError> {
        // The error is dropped, here and below: it may repeat its input.
        let body = serde_json::to_vec(self).map_err(|_| InboxError::Unwritable)?;
        let suffix = if self.is_stale { "#stale" } else { "" };
        let id = format!("{}{suffix}", self.delivery.identity());
        Ok(InboxItem { kind: DELIVERIES, id, body })
    }

    /// The delivery of an item.
    pub fn read(item: &InboxItem) -> Result<Self, NotADelivery> {
        serde_json::from_slice(&item.body).map_err(|_| NotADelivery)
    }
}
