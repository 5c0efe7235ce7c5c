//! `POST /api/auth/otp`: sends a one-time code to an address.

mod send_code;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use shared_cache::{Cache, Codes};
use shared_core::identity::Mailer;
use shared_http::AppContext;

/// Dependencies of this function.
#[derive(Clone, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Rate limits.
    pub cache: Cache,
    /// The pending one-time codes.
    pub codes: Codes,
    /// Sends the mails.
    pub mailer: Arc<dyn Mailer>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router(), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [send_code::send_code],
}
