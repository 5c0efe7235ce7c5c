//! Creates an order, or finds the one that takes its place.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_core::billing::{ORDERS_PER_DAY, ORDERS_PER_HOUR, Offer, OrderId, PayerId, PlanId};
use shared_core::limits::{Limit, LimitReached};
use shared_core::store::StoreError;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::stored::StoredOrder;
use crate::Request;
use crate::error::DatabaseError;

const CREATE: &str = "select origin, id from create_order($1, $2, $3)";

/// Raised by `create_order`.
const TOO_MANY_ORDERS: &str = "US007";
const PHONE_NEEDED: &str = "US008";

/// An order to create.
#[derive(Clone, Debug)]
pub struct NewOrder<'a> {
    /// Its id.
    pub id: OrderId,
    /// What it buys.
    pub offer: &'a Offer,
    /// The provider's environment, `sandbox` or `production`.
    pub mode: &'a str,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
    /// Stands for the user in the books, if this is the user's first order.
    pub payer_if_new: PayerId,
    /// The client's name for the attempt.
    pub idempotency_key: Option<&'a str>,
    /// The plan's open order, if this one takes its place.
    pub replaces: Option<OrderId>,
    /// Whether the request brings a phone number; if not, one has to be stored.
    pub has_phone: bool,
}

/// Where an order comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderOrigin {
    /// It was created.
    New,
    /// The same idempotency key has created it before.
    Known,
    /// It was open: there is one open order of a user and a plan at most.
    Open,
}

/// Why no order was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateOrderError {
    /// The order needs a phone number, and none is stored.
    #[error("there is no phone number")]
    PhoneNeeded,
    /// The user has made too many.
    #[error(transparent)]
    TooMany(LimitReached),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The `wanted` of `create_order`.
#[derive(Debug, Serialize)]
struct Wanted<'a> {
    id: OrderId,
    plan: &'a PlanId,
    price_paise: i64,
    days: u32,
    credits: u32,
    mode: &'a str,
    expires_at: Timestamp,
    payer: PayerId,
    idempotency_key: Option<&'a str>,
    replaces: Option<OrderId>,
    has_phone: bool,
    per_hour: u32,
    per_day: u32,
}

/// The detail of `US007`, in seconds.
#[derive(Deserialize)]
struct Exhausted {
    limit: u32,
    window: u64,
    retry_after: u64,
}

impl Request<'_> {
    /// Creates an order. A retry, a duplicate and a concurrent request get the order that there is.
    pub async fn create_order(
        &self,
        new: &NewOrder<'_>,
    ) -> Result<(OrderOrigin, StoredOrder), CreateOrderError> {
        let wanted = Wanted {
            id: new.id,
            plan: &new.offer.plan,
            price_paise: new.offer.price.get(),
            days: new.offer.days,
            credits: new.offer.credits,
            mode: new.mode,
            expires_at: new.expires_at,
            payer: new.payer_if_new,
            idempotency_key: new.idempotency_key,
            replaces: new.replaces,
            has_phone: new.has_phone,
            per_hour: ORDERS_PER_HOUR,
            per_day: ORDERS_PER_DAY,
        };
        let rows = self.query(CREATE, &[&self.session.user.0, &self.now, &Json(&wanted)]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no order"))?;
        let origin = match row.try_get("origin").map_err(DatabaseError::from)? {
            "new" => OrderOrigin::New,
            "known" => OrderOrigin::Known,
            "open" => OrderOrigin::Open,
            _ => return Err(DatabaseError::unexpected("an order's origin").into()),
        };
        let id: Uuid = row.try_get("id").map_err(DatabaseError::from)?;
        let stored = self.order(OrderId(id)).await?;
        Ok((origin, stored.ok_or_else(|| DatabaseError::unexpected("no such order"))?))
    }
}

impl From<DatabaseError> for CreateOrderError {
    fn from(error: DatabaseError) -> Self {
        let detail = match error.raised() {
            Some((TOO_MANY_ORDERS, detail, _)) => detail,
            Some((PHONE_NEEDED, ..)) => return Self::PhoneNeeded,
            Some(_) | None => return Self::Store(error.into()),
        };
        match serde_json::from_str(detail) {
            Ok(Exhausted { limit: count, window, retry_after }) => {
                let limit = Limit { count, window: Duration::from_secs(window) };
                Self::TooMany(LimitReached::new(limit, Duration::from_secs(retry_after)))
            }
            Err(error) => Self::Store(DatabaseError::Malformed(error.into()).into()),
        }
    }
}
