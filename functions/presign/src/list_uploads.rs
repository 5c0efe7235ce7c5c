//! Lists the user's uploads.

use axum::extract::State;
use axum::response::IntoResponse;
use shared_core::uploads::UploadError;
use shared_http::{
    ApiError, CurrentUser, ErrorBody, Json, PageBody, PageQuery, Paging, UploadBody,
};

use crate::Deps;

/// List uploads
///
/// Newest first, with those whose file is not there yet.
#[utoipa::path(
    get, path = "/api/uploads", tag = "uploads", params(PageQuery),
    responses(
        (status = 200, body = PageBody<UploadBody>),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_cursor`, or `invalid_request` for a bad limit"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn list_uploads(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Paging(page): Paging,
) -> Result<impl IntoResponse, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    let uploads = database.uploads(&page).await.map_err(UploadError::from)?;
    Ok(Json(PageBody::new(uploads, UploadBody::from)))
}
