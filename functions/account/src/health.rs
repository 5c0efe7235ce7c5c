//! Liveness and readiness checks.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Serialize;
use shared_http::Json;
use utoipa::ToSchema;

use crate::Deps;
use crate::health_check::{HealthReport, Readiness};

/// Liveness of the API.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
    /// The product's version.
    version: &'static str,
}

/// Liveness check
///
/// Answers without querying any backend: for a monitor of the path from a browser to the code.
#[utoipa::path(
    get, path = "/api/health", tag = "about",
    responses((status = 200, body = Health)),
    security()
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Readiness check
///
/// Pings Postgres and the cache, in each function instance at most every five seconds. `degraded`: the
/// cache is unavailable, so logged-in users can go on, but logging in fails.
#[utoipa::path(
    get, path = "/api/health/ready", tag = "about",
    responses(
        (status = 200, body = HealthReport, description = "`ready` or `degraded`"),
        (status = 503, body = HealthReport, description = "`unavailable`, with `retry-after`"),
    ),
    security()
)]
pub(crate) async fn ready(State(deps): State<Deps>) -> impl IntoResponse {
    let report = deps.health_check.report().await;
    match report.status() {
        Readiness::Ready | Readiness::Degraded => Json(report).into_response(),
        Readiness::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], Json(report))
                .into_response()
        }
    }
}
