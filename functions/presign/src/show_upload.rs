//! Returns one upload.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use shared_core::uploads::{UploadError, UploadId};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, UploadAnswer};

use crate::Deps;

/// One upload
#[utoipa::path(
    get, path = "/api/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 200, body = UploadAnswer),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`upload_not_found`"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn show_upload(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let id = UploadId::parse(&id).ok_or(UploadError::NotFound)?;
    let database = deps.database.request(&session, deps.app.clock().now());
    let stored = database.upload(id).await.map_err(UploadError::from)?;
    Ok(Json(UploadAnswer::from(stored.ok_or(UploadError::NotFound)?.upload)))
}
