//! `GET /api/models`: the models that are offered.

mod catalogue;
mod list;

use std::sync::Arc;

use axum::Router;
use shared_core::catalogue::ModelTable;
use shared_http::Edge;
use shared_openrouter::OpenRouter;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::catalogue::Catalogue;

/// What this function works with.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Time.
    pub edge: Edge,
    /// Lists what there is.
    pub openrouter: OpenRouter,
    /// Says what is offered.
    pub table: Arc<ModelTable>,
}

#[derive(Clone, Debug)]
struct App {
    edge: Edge,
    catalogue: Arc<Catalogue>,
}

/// The function's routes, wrapped for the wire.
pub fn app(deps: Deps) -> Router {
    let edge = deps.edge.clone();
    let (routes, _) = routes().split_for_parts();
    let app =
        App { edge: deps.edge, catalogue: Arc::new(Catalogue::new(deps.openrouter, deps.table)) };
    edge.wrap(routes.with_state(app))
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::models))
}
