//! Redirects to a file in storage.

use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Deserialize;
use shared_core::uploads::{UploadError, UploadId, UploadState};
use shared_files::Download;
use shared_http::{ApiError, CurrentUser, ErrorBody, ErrorCode};
use utoipa::IntoParams;

use crate::Deps;

/// How long a browser may reuse the redirect: less than its URL is good for.
const CACHE_CONTROL: &str = "private, max-age=60";

/// Which form of a file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileQuery {
    /// `thumb`: of an image, a small one of at most 320 pixels.
    #[serde(rename = "as")]
    form: Option<String>,
}

/// Get a file
///
/// Redirects to the file in storage, by a URL that is good for two minutes: the source of an `img`, or a link. Images and PDFs
/// are shown by browsers, text is saved, and HTML and SVG come as `text/plain`.
#[utoipa::path(
    get, path = "/api/uploads/{id}/file", tag = "uploads",
    params(("id" = String, Path, description = "The upload's id"), FileQuery),
    responses(
        (status = 302, description = "The file is at `location`"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`upload_not_found`"),
        (status = 409, body = ErrorBody, description = "`upload_missing`"),
        (status = 422, body = ErrorBody, description = "`invalid_request`"),
        (status = 503, body = ErrorBody, description = "`unavailable` or `uploads_unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn download_file(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Path(id): Path<String>,
    query: Result<Query<FileQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let invalid = || ApiError::new(ErrorCode::InvalidRequest, "as: thumb, or left out");
    let is_thumb = match query.map_err(|_| invalid())?.form.as_deref() {
        None => false,
        Some("thumb") => true,
        Some(_) => return Err(invalid()),
    };
    let now = deps.app.clock().now();
    let id = UploadId::parse(&id).ok_or(UploadError::NotFound)?;
    let database = deps.database.request(&session, now);
    let upload = database.upload_without_uses(id).await.map_err(UploadError::from)?;
    let upload = upload.ok_or(UploadError::NotFound)?;
    if upload.state != UploadState::Ready {
        return Err(UploadError::Missing.into());
    }
    let download = Download {
        id: upload.id,
        kind: upload.kind,
        media_type: &upload.media_type,
        filename: &upload.filename,
        is_thumb,
    };
    let url = deps.files.presign_get(session.user, &download, now).await;
    let url = url.map_err(|error| UploadError::Unavailable(error.into()))?;
    let headers = [(header::LOCATION, url), (header::CACHE_CONTROL, CACHE_CONTROL.to_owned())];
    Ok((StatusCode::FOUND, headers))
}
