//! Receives a delivery: verified, stored, and fulfilled if Postgres answers at once.
//!
//! ```text
//! bytes ──verify──▶ what is read ──▶ inbox ──▶ Postgres ──▶ 200
//!          │ 401                       │          │
//!          ▼                           └──────────┴─ neither has stored it: 503, and the provider retries
//! ```
//!
//! The provider retries for about 40 minutes, which is less than an outage of Postgres can last. Once the inbox has the
//! delivery, the answer is 200, and `sweep` does what is left.

use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use shared_billing::StoredDelivery;
use shared_cashfree::{Delivery, DeliveryContent, SignatureError};
use shared_core::billing::{Fulfilment, PaymentAttempt};
use shared_http::{ApiError, ErrorBody, ErrorCode, Json, unread_body};
use shared_inbox::{InboxError, InboxItem, WaitingItem};
use shared_lambda::Metric;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::Deps;

/// Timeout for Postgres once the inbox has the delivery: the provider waits for the answer.
const FULFIL_WITHIN: Duration = Duration::from_secs(1);
/// Timeout for Postgres if the inbox has failed.
const FULFIL_ALONE_WITHIN: Duration = Duration::from_secs(8);

/// The provider reads only the status.
#[derive(Serialize, ToSchema)]
pub(crate) struct Received {}

/// Report a payment
///
/// Only for Cashfree, in any version of its webhooks: the body is signed. Idempotent: the same delivery may come any
/// number of times, in any order. Deliveries that do not matter here are answered by 200, too.
#[utoipa::path(
    post, path = "/api/webhooks/cashfree", tag = "billing",
    params(
        ("x-webhook-signature" = String, Header, description = "HMAC-SHA-256 of the timestamp and the body, in Base64"),
        ("x-webhook-timestamp" = String, Header, description = "milliseconds since 1970"),
    ),
    request_body(content = String, content_type = "application/json", description = "as Cashfree sends it"),
    responses(
        (status = 200, body = Received),
        (status = 401, body = ErrorBody, description = "`webhook_refused`"),
        (status = 413, body = ErrorBody, description = "`body_too_large`: more than 256 KiB"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`: nothing has stored it"),
    )
)]
pub(crate) async fn receive(
    State(deps): State<Deps>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Received>, ApiError> {
    let body = body.map_err(|rejection| unread_body(&rejection, ErrorCode::InvalidRequest))?;
    let now = deps.app.clock().now();
    let freshness = deps.secrets.verify(&headers, &body, now).map_err(|reason| {
        tracing::warn!(reason = reason.as_str(), "a webhook is refused");
        // Only what looks like the provider's: anybody can send anything else.
        if reason == SignatureError::Mismatch {
            deps.app.measure(&[Metric::one("WebhookRefused")], &[]);
        }
        ApiError::new(ErrorCode::WebhookRefused, "the signature is not valid")
    })?;
    let delivery = StoredDelivery::new(Delivery::read(&body), freshness, now);
    match delivery.attempt() {
        Some(attempt) => fulfil(&deps, &delivery, attempt, now).await?,
        None => archive(&deps, &delivery, now).await?,
    }
    Ok(Json(Received {}))
}

/// The inbox first, then one attempt at Postgres. A stale delivery is left to `sweep`, which asks the provider.
async fn fulfil(
    deps: &Deps,
    delivery: &StoredDelivery,
    attempt: &PaymentAttempt,
    now: Timestamp,
) -> Result<(), ApiError> {
    let item = delivery.inbox_item().map_err(|error| not_stored(&error))?;
    let put = deps.inbox.put_item(&item).await;
    if delivery.is_stale {
        tracing::info!(item = item.id, "a stale delivery waits for the provider's confirmation");
        return put.map_err(|error| not_stored(&error));
    }
    let within = if put.is_ok() { FULFIL_WITHIN } else { FULFIL_ALONE_WITHIN };
    let fulfilled = timeout(within, deps.payments.fulfil(attempt, now)).await;
    let result = match fulfilled {
        Ok(Ok(result)) => Some(result),
        Ok(Err(error)) => {
            tracing::warn!(item = item.id, %error, "a delivery cannot be fulfilled now");
            None
        }
        Err(_) => {
            tracing::warn!(item = item.id, "a delivery cannot be fulfilled in time");
            None
        }
    };
    if let Some(result) = result {
        report(deps, attempt, result);
    }
    match (put, result) {
        (Ok(()), Some(result)) => {
            done(deps, item, result, now).await;
            Ok(())
        }
        // `sweep` fulfils it.
        (Ok(()), None) => Ok(()),
        // Postgres records no payment of an order that it does not know.
        (Err(error), None | Some(Fulfilment::UnknownOrder)) => Err(not_stored(&error)),
        (Err(error), Some(_)) => {
            tracing::warn!(%error, "the inbox is unavailable; Postgres alone has the delivery");
            Ok(())
        }
    }
}

/// Notes in the inbox that a delivery is done. If that fails, `sweep` fulfils it again, which changes nothing.
async fn done(deps: &Deps, item: InboxItem, result: Fulfilment, now: Timestamp) {
    let waiting = WaitingItem::just_put(item);
    let done = match result {
        // The only record of it.
        Fulfilment::UnknownOrder => {
            deps.app.measure(&[Metric::one("UnknownOrder")], &[]);
            deps.inbox.archive_waiting(&waiting, result.as_str(), now).await
        }
        Fulfilment::Fulfilled
        | Fulfilment::Duplicate
        | Fulfilment::Unpaid
        | Fulfilment::SecondPayment
        | Fulfilment::Mismatch
        | Fulfilment::UserGone => deps.inbox.done(&waiting, result.as_str(), now).await,
    };
    if let Err(error) = done {
        tracing::warn!(%error, "a delivery that is done stays in the inbox");
    }
}

fn report(deps: &Deps, attempt: &PaymentAttempt, result: Fulfilment) {
    let PaymentAttempt { order, payment, status, .. } = attempt;
    if result.needs_operator() {
        tracing::error!(
            order,
            payment,
            result = result.as_str(),
            "a payment gives nothing: an operator has to look"
        );
        deps.app.measure(&[Metric::one("PaymentMismatch")], &[("order", order)]);
    } else {
        tracing::info!(order, payment, status, result = result.as_str(), "a payment was reported");
    }
}

/// Keeps what nobody has to process, for people who look for it.
async fn archive(deps: &Deps, delivery: &StoredDelivery, now: Timestamp) -> Result<(), ApiError> {
    let why = match &delivery.delivery.content {
        DeliveryContent::Refund(_) => "refund",
        DeliveryContent::Dispute(_) => "dispute",
        DeliveryContent::NotJson => "not json",
        DeliveryContent::Other(_) | DeliveryContent::Payment(_) => "unknown",
    };
    let event = &*delivery.delivery.event;
    if delivery.delivery.is_of_payment() {
        // Its order is checked with the provider in any case, ten minutes after it was made.
        tracing::error!(event, "a reported payment cannot be read: an operator has to look");
        deps.app.measure(&[Metric::one("PaymentMismatch")], &[("event", event)]);
    } else {
        tracing::info!(event, why, "a delivery is archived");
    }
    deps.app.measure(&[Metric::one("DeliveryArchived")], &[("event", event)]);
    let item = delivery.inbox_item().map_err(|error| not_stored(&error))?;
    deps.inbox.archive(&item, why, now).await.map_err(|error| not_stored(&error))
}

fn not_stored(error: &InboxError) -> ApiError {
    tracing::error!(%error, "nothing has stored a delivery; the provider will retry");
    ApiError::unavailable("the delivery cannot be stored right now; send it again")
}
