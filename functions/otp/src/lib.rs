//! `POST /api/auth/otp`: sends a one-time code to an address.

mod send_code;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use shared_cache::{Cache, Codes};
use shared_core::identity::Mailer;
use shared_http::AppContext;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
    shared_http::app(routes(), deps)
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Deps> {
    OpenApiRouter::new().routes(routes!(send_code::send_code))
}
