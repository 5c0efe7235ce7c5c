//! Returns one upload.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use shared_core::identity::Session;
use shared_core::uploads::{Upload, UploadError, UploadId};
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
    let upload = find(&deps, &session, &id, deps.app.clock().now()).await?;
    Ok(Json(UploadAnswer::from(upload)))
}

/// The user's upload with this id.
pub(crate) async fn find(
    deps: &Deps,
    session: &Session,
    id: &str,
    now: Timestamp,
) -> Result<Upload, UploadError> {
    let id = UploadId::parse(id).ok_or(UploadError::NotFound)?;
    let stored = deps.database.request(session, now).upload(id).await?;
    Ok(stored.ok_or(UploadError::NotFound)?.upload)
}
