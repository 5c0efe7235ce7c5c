//! Rate limits of requests about single orders: each may ask the payment provider, whose own limits all users share.

use jiff::Timestamp;
use shared_cache::Subject;
use shared_core::billing::OrderError;
use shared_core::identity::Session;
use shared_core::limits::{Limit, LimitReached};

use crate::Deps;

/// Also of requests that continue an open order.
const PLACING: Limit = Limit::per_minute(20);
const POLLING: Limit = Limit::per_minute(60);

/// A request for an order.
pub(crate) async fn placing(
    deps: &Deps,
    session: &Session,
    now: Timestamp,
) -> Result<(), OrderError> {
    acquire(deps, session, "orders-placed", PLACING, now).await.map_err(OrderError::TooManyOrders)
}

/// A look at an order.
pub(crate) async fn polling(
    deps: &Deps,
    session: &Session,
    now: Timestamp,
) -> Result<(), OrderError> {
    acquire(deps, session, "orders-polled", POLLING, now).await.map_err(OrderError::TooManyRequests)
}

/// Without the cache all are allowed: Postgres limits new orders, and spaces the looks at one.
async fn acquire(
    deps: &Deps,
    session: &Session,
    what: &str,
    limit: Limit,
    now: Timestamp,
) -> Result<(), LimitReached> {
    let subject = Subject::User(session.user);
    deps.cache.acquire(&subject, what, &[limit], now).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "requests about orders are not limited");
        Ok(())
    })
}
