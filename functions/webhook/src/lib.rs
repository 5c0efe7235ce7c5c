//! `POST /api/webhooks/cashfree`: the payment provider reports payments.

mod receive;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use shared_cashfree::WebhookSecrets;
use shared_http::AppContext;
use shared_inbox::Inbox;
use shared_postgres::Payments;

/// A delivery has a few kilobytes.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Verifies that a delivery is the provider's.
    pub secrets: WebhookSecrets,
    /// Stores deliveries until they are processed.
    pub inbox: Inbox,
    /// Records payments.
    pub payments: Payments,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router().layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [receive::receive],
}
