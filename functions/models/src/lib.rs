//! `GET /api/models`: the models that are offered.

mod catalogue;
mod list;

use std::sync::Arc;

use axum::Router;
use shared_core::catalogue::ModelTable;
use shared_http::AppContext;
use shared_openrouter::OpenRouter;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::catalogue::Catalogue;

/// Dependencies of this function.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Lists the provider's models.
    pub openrouter: OpenRouter,
    /// Which models are offered, and their pricing.
    pub table: Arc<ModelTable>,
}

#[derive(Clone, Debug)]
struct AppState {
    app: AppContext,
    catalogue: Arc<Catalogue>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    let app = deps.app.clone();
    let (routes, _) = routes().split_for_parts();
    let state = AppState {
        app: deps.app,
        catalogue: Arc::new(Catalogue::new(deps.openrouter, deps.table)),
    };
    app.wrap(routes.with_state(state))
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list::models))
}
