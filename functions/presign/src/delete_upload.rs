//! Deletes an upload.

use axum::extract::{Path, State};
use http::StatusCode;
use shared_core::uploads::{UploadError, UploadId};
use shared_http::{ApiError, CurrentUser, ErrorBody};

use crate::Deps;

/// Delete an upload
///
/// Frees its bytes. Messages that have it keep a part with its name, without a file. From now on its content cannot be read,
/// but by URLs of the last two minutes; it is removed from storage within minutes. A repetition
/// changes nothing: 204 until then, 404 afterwards.
#[utoipa::path(
    delete, path = "/api/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`upload_not_found`"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn delete_upload(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = UploadId::parse(&id).ok_or(UploadError::NotFound)?;
    let database = deps.database.request(&session, deps.app.clock().now());
    if database.delete_upload(id).await.map_err(UploadError::from)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(UploadError::NotFound.into())
    }
}
