//! Plans and their orders: `GET /api/plans`, `POST` and `GET /api/orders`, `GET /api/orders/{id}`.
//!
//! How an order comes to be is in `place_order.rs`, what the provider says of one in `check.rs`. Payments are reported to
//! `webhook`; what nobody reports is found by whoever polls an order, and by `sweep`.

mod billing;
mod body;
mod check;
mod limit;
mod list_orders;
mod list_plans;
mod place_order;
mod show_order;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use shared_cache::Cache;
use shared_core::billing::Plans;
use shared_http::{AppContext, Tokens};
use shared_postgres::{Database, Payments};

pub use billing::Billing;

/// An order has some hundred bytes.
const BODY_LIMIT_BYTES: usize = 8 * 1024;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// Rate limits.
    pub cache: Cache,
    /// Orders, of the request's user.
    pub database: Database,
    /// Records payments; connects when there is one.
    pub payments: Payments,
    /// The payment provider; `None` where nothing is sold.
    pub billing: Option<Billing>,
    /// The plans and their prices.
    pub plans: Arc<Plans>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router().layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [
        list_plans::list_plans, place_order::place_order, list_orders::list_orders, show_order::show_order,
    ],
}
