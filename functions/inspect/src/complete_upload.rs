//! Completes an upload: inspects what was sent, and keeps it or discards it.
//!
//! ```text
//! Postgres: declared ──▶ S3: size, type, hash ──▶ bytes ──▶ content.rs ──┬▶ accepted: S3: forms ──▶ Postgres: ready
//!                                                                        └▶ refused: Postgres: deleted, bytes freed
//!                                                             then S3: what was sent is discarded
//! ```
//!
//! Every step can be repeated: a request that is killed anywhere, or comes twice at once, leaves what the next one completes.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use shared_core::identity::Session;
use shared_core::uploads::{
    FileForm, FileRefusal, InspectedFile, Sha256Digest, UploadError, UploadId, UploadState,
    Uploaded,
};
use shared_files::{FilesError, ReceivedFile};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, UploadAnswer};
use shared_lambda::Metric;
use tokio::task::spawn_blocking;

use crate::Deps;
use crate::content::{Accepted, DECODE_WITHIN, Kept, inspect_content};

/// Complete an upload
///
/// Call it once the file is sent. Its content is inspected; an image is decoded, turned upright, and encoded anew without
/// metadata. What is not accepted is deleted at once, and its bytes are free again. Idempotent.
#[utoipa::path(
    post, path = "/api/uploads/{id}/complete", tag = "uploads",
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 200, body = UploadAnswer),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`upload_not_found`"),
        (status = 409, body = ErrorBody, description = "`upload_missing`: send the file first"),
        (status = 422, body = ErrorBody, description = "`file_not_as_declared` or `file_unreadable`; the file is deleted"),
        (status = 503, body = ErrorBody, description = "`unavailable` or `uploads_unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn complete_upload(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let id = UploadId::parse(&id).ok_or(UploadError::NotFound)?;
    let now = deps.app.clock().now();
    let completed = Completion { deps: &deps, session: &session, id, now }.run().await?;
    Ok(Json(UploadAnswer::from(completed.upload)))
}

/// The completion of one upload.
struct Completion<'a> {
    deps: &'a Deps,
    session: &'a Session,
    id: UploadId,
    now: Timestamp,
}

impl Completion<'_> {
    async fn run(&self) -> Result<Uploaded, UploadError> {
        let declared = self.stored().await?;
        if declared.upload.state == UploadState::Ready {
            return Ok(declared);
        }
        let received = self.deps.files.received(self.session.user, self.id).await;
        let Some(received) = received.map_err(unavailable)? else {
            return self.completed_by_another().await;
        };
        let inspected = match as_declared(&declared, &received) {
            Ok(()) => {
                let bytes = self.deps.files.read_received(&received).await.map_err(unavailable)?;
                let Some(bytes) = bytes else { return self.completed_by_another().await };
                inspect(&declared, &received, bytes).await?
            }
            Err(refusal) => Err(refusal),
        };
        match inspected {
            Ok(accepted) => self.keep(accepted, &received).await,
            Err(refusal) => self.refuse(refusal, &received).await,
        }
    }

    async fn stored(&self) -> Result<Uploaded, UploadError> {
        let database = self.deps.database.request(self.session, self.now);
        database.upload(self.id).await?.ok_or(UploadError::NotFound)
    }

    /// The file is gone, or was never sent: a concurrent request may have completed the upload.
    async fn completed_by_another(&self) -> Result<Uploaded, UploadError> {
        let stored = self.stored().await?;
        match stored.upload.state {
            UploadState::Ready => Ok(stored),
            UploadState::Pending => Err(UploadError::Missing),
        }
    }

    async fn keep(
        &self,
        Accepted { file, forms }: Accepted,
        received: &ReceivedFile,
    ) -> Result<Uploaded, UploadError> {
        let kept = forms.into_iter().map(|(form, kept)| self.keep_form(form, kept, received));
        match try_join_all(kept).await {
            Ok(are_kept) if !are_kept.contains(&false) => {}
            Ok(_) => return self.completed_by_another().await,
            // Of a copy, S3 answers 403 also if the received file is gone.
            Err(error) => {
                return self.completed_by_another().await.map_err(|_| unavailable(error));
            }
        }
        let completed = self.complete(&file).await?;
        self.discard(received).await;
        Ok(completed)
    }

    /// Returns whether it is kept: not if the received file is gone.
    async fn keep_form(
        &self,
        form: FileForm,
        kept: Kept,
        received: &ReceivedFile,
    ) -> Result<bool, FilesError> {
        let (files, user) = (&self.deps.files, self.session.user);
        match kept {
            Kept::Original { media_type } => {
                files.keep_received(received, user, self.id, form, media_type).await
            }
            Kept::Encoded { bytes, media_type } => {
                files.keep(user, self.id, form, bytes.into(), media_type).await.map(|()| true)
            }
        }
    }

    /// If it was deleted meanwhile, its objects are removed with it.
    async fn complete(&self, found: &InspectedFile) -> Result<Uploaded, UploadError> {
        let database = self.deps.database.request(self.session, self.now);
        database.complete_upload(self.id, found).await?.ok_or(UploadError::NotFound)
    }

    async fn refuse(
        &self,
        refusal: FileRefusal,
        received: &ReceivedFile,
    ) -> Result<Uploaded, UploadError> {
        if self.deps.database.request(self.session, self.now).refuse_upload(self.id).await? {
            tracing::info!(upload = %self.id, %refusal, "refused a file");
            self.deps.app.measure(&[Metric::one("UploadRefused")], &[]);
        } else {
            match self.completed_by_another().await {
                // Refused already: by another request, or by a first attempt whose connection died.
                Err(UploadError::NotFound) => {}
                stored => return stored,
            }
        }
        self.discard(received).await;
        Err(refusal.into())
    }

    /// What is left in quarantine is removed within a day, by the bucket's lifecycle.
    async fn discard(&self, received: &ReceivedFile) {
        if let Err(error) = self.deps.files.discard(received).await {
            tracing::warn!(%error, upload = %self.id, "a file stays in quarantine");
        }
    }
}

fn unavailable(error: FilesError) -> UploadError {
    UploadError::Unavailable(error.into())
}

/// Compares what S3 says of a file with what was declared. The URL's signature has made sure of it already.
fn as_declared(declared: &Uploaded, received: &ReceivedFile) -> Result<(), FileRefusal> {
    if received.size != declared.upload.size {
        return Err(FileRefusal::NotAsDeclared("it has another size"));
    }
    if received.content_type != declared.file_type.as_str() {
        return Err(FileRefusal::NotAsDeclared("it was sent with another type"));
    }
    match received.sha256 {
        Some(sha256) if sha256 != declared.sha256 => Err(OTHER_HASH),
        Some(_) | None => Ok(()),
    }
}

const OTHER_HASH: FileRefusal = FileRefusal::NotAsDeclared("it has another SHA-256");

/// Inspects the content, on a thread of its own: it takes up to seconds.
async fn inspect(
    declared: &Uploaded,
    received: &ReceivedFile,
    bytes: Bytes,
) -> Result<Result<Accepted, FileRefusal>, UploadError> {
    let (file_type, expected) = (declared.file_type, declared.sha256);
    let is_hashed = received.sha256.is_some();
    let inspect = move || {
        if !is_hashed && Sha256Digest(Sha256::digest(&bytes).into()) != expected {
            return Err(OTHER_HASH);
        }
        inspect_content(file_type, &bytes, DECODE_WITHIN)
    };
    spawn_blocking(inspect).await.map_err(|error| UploadError::Unavailable(error.into()))
}
