//! Whether the product is there, and whether it can work.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Serialize;
use shared_http::Json;
use utoipa::ToSchema;

use crate::Deps;
use crate::health_check::{Readiness, Report};

/// That the product is there.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
    /// The product's version.
    version: &'static str,
}

/// Is it there
///
/// Answers without asking any system: for a monitor of the way from a browser to the code.
#[utoipa::path(
    get, path = "/api/health", tag = "about",
    responses((status = 200, body = Health)),
    security()
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Can it work
///
/// Asks Postgres and the cache, in each Lambda environment at most every five seconds. `degraded`: the
/// cache is away, so who is logged in can go on, and logging in cannot.
#[utoipa::path(
    get, path = "/api/health/ready", tag = "about",
    responses(
        (status = 200, body = Report, description = "`ready` or `degraded`"),
        (status = 503, body = Report, description = "`unavailable`, with `retry-after`"),
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
