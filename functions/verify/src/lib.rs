//! `POST /api/auth/verify`: exchanges a one-time code for a session.

mod enter_code;

use axum::Router;
use axum::extract::FromRef;
use shared_cache::{Cache, Codes};
use shared_http::Edge;
use shared_postgres::Database;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What this function works with.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Time, chance and tokens.
    pub edge: Edge,
    /// For limits.
    pub cache: Cache,
    /// The codes that wait to be entered.
    pub codes: Codes,
    /// Users and sessions.
    pub database: Database,
}

impl FromRef<Deps> for Edge {
    fn from_ref(deps: &Deps) -> Self {
        deps.edge.clone()
    }
}

/// The function's routes, wrapped for the wire.
pub fn app(deps: Deps) -> Router {
    let edge = deps.edge.clone();
    let (routes, _) = routes().split_for_parts();
    edge.wrap(routes.with_state(deps))
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Deps> {
    OpenApiRouter::new().routes(routes!(enter_code::enter_code))
}
