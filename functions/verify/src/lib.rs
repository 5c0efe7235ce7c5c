//! `POST /api/auth/verify`: exchanges a one-time code for a session.

mod enter_code;

use axum::Router;
use axum::extract::FromRef;
use shared_cache::{Cache, Codes};
use shared_http::{AppContext, Tokens};
use shared_postgres::Database;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Signs session tokens.
    pub tokens: Tokens,
    /// Rate limits.
    pub cache: Cache,
    /// The pending one-time codes.
    pub codes: Codes,
    /// Users and sessions.
    pub database: Database,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router(), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [enter_code::enter_code],
}
