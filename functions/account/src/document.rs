//! The document of the whole API.

use axum::response::IntoResponse;
use http::header;

/// Generated from all functions' code by `make openapi`; a test fails when it is out of date.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// The API document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "about",
    responses((status = 200, body = Object, description = "OpenAPI 3.1")),
    security()
)]
pub(crate) async fn document() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, DOCUMENT)
}
