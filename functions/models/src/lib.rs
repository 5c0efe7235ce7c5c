//! `GET /api/models`: the models that are offered.

mod list;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use shared_http::AppContext;
use shared_openrouter::Catalogue;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// The offered models.
    pub catalogue: Arc<Catalogue>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router(), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [list::models],
}
