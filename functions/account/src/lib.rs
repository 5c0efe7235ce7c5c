//! The user's account: `POST /api/auth/logout`, `GET` and `PATCH /api/me`,
//! `GET /api/me/sessions`, `GET /api/usage`; and public routes about the API: `GET /api/health`,
//! `GET /api/health/ready`, `GET /api/openapi.json`.

mod document;
mod health;
mod health_check;
mod log_out;
mod me;
mod sessions;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use shared_core::billing::Plans;
use shared_http::{AppContext, Tokens};
use shared_postgres::Database;

pub use health_check::HealthCheck;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// Users, sessions and usage.
    pub database: Database,
    /// Credits and limits of each plan.
    pub plans: Arc<Plans>,
    /// Readiness of Postgres and the cache.
    pub health_check: HealthCheck,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router(), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [
        log_out::log_out,
        me::me,
        me::change_me,
        sessions::sessions,
        usage::usage,
        health::health,
        health::ready,
        document::document,
    ],
}
