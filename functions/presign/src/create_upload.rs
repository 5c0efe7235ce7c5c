//! Reserves storage for a file, and signs the URL that it is sent to.
//!
//! ```text
//! body ──parse──▶ signature ──▶ Valkey: uploads an hour ──▶ Postgres: the plan's limits, bytes reserved
//! ```

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use jiff::Timestamp;
use shared_cache::{CacheError, Permit, Subject};
use shared_core::billing::{Plan, PlanId, Upgrade};
use shared_core::identity::Session;
use shared_core::limits::{Limit, LimitReached};
use shared_core::uploads::{NewUpload, UploadError, UploadId};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json};
use shared_postgres::{NewUploadLimits, Reservation, UploadLimits};

use crate::Deps;
use crate::body::{UploadRequest, UploadUrl};

/// Upload a file
///
/// Reserves the file's bytes in the plan's storage, and returns a URL of the storage to which the client sends the file
/// itself, within five minutes: with `method`, with all of `headers`, and with the file as the body. Anything but the declared
/// file is refused there, and so is a second one. Then `POST /api/uploads/{id}/complete`; what is not completed within an
/// hour is forgotten.
#[utoipa::path(
    post, path = "/api/uploads", tag = "uploads", request_body = UploadRequest,
    responses(
        (status = 201, body = UploadUrl),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 403, body = ErrorBody, description = "`storage_full`"),
        (status = 413, body = ErrorBody, description = "`file_too_large`, or `body_too_large`"),
        (status = 422, body = ErrorBody, description = "`invalid_upload`, `type_not_allowed` or `invalid_request`"),
        (status = 429, body = ErrorBody, description = "`too_many_uploads`, with `retry-after`"),
        (status = 503, body = ErrorBody, description = "`unavailable` or `uploads_unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn create_upload(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Json(request): Json<UploadRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let now = deps.app.clock().now();
    let upload = request.parse(UploadId(deps.app.entropy().uuid(now)))?;
    // Before anything is reserved for it: nobody gets the URL of a refused upload.
    let put = deps.files.presign_put(session.user, &upload, now).await;
    let put = put.map_err(|error| UploadError::Unavailable(error.into()))?;
    let user = Subject::User(session.user);
    let hourly: Vec<_> = deps.plans.all().map(Plan::upload_limit).collect();
    let permit = deps.cache.acquire_any(&user, "uploads", &hourly, now).await;
    if let Err(error) = &permit {
        tracing::warn!(%error, "without the cache, postgres counts uploads");
    }
    if let Err(error) = reserve(&deps, &session, &upload, permit.as_ref(), now).await {
        if let Ok(permit) = permit {
            // A refused upload does not count; if the cache is unavailable now, it counts for an hour.
            deps.cache.release(permit).await.ok();
        }
        return Err(error.into());
    }
    Ok((StatusCode::CREATED, Json(UploadUrl::new(upload.id, put))))
}

async fn reserve(
    deps: &Deps,
    session: &Session,
    upload: &NewUpload,
    permit: Result<&Permit, &CacheError>,
    now: Timestamp,
) -> Result<(), UploadError> {
    let limits = |plan: &Plan| limits_of(plan, upload, permit);
    let limits = NewUploadLimits {
        plan_limits: deps.plans.all().map(|plan| (plan.id.as_str(), limits(plan))).collect(),
        // All plans count within the same window.
        counted_since: now - deps.plans.free().upload_limit().window,
    };
    let database = deps.database.request(session, now);
    let (plan, reservation) = database.reserve_upload(upload, &limits).await?;
    match reservation {
        Reservation::Reserved => Ok(()),
        Reservation::TooMany { oldest } => {
            Err(too_many(deps.plans.of(Some(&plan)).upload_limit(), permit, oldest, now).into())
        }
        Reservation::TooLarge => Err(too_large(deps, &plan, upload)),
        Reservation::StorageFull { used_bytes } => {
            Err(storage_full(deps, &plan, used_bytes, upload.size))
        }
    }
}

fn limits_of(
    plan: &Plan,
    upload: &NewUpload,
    permit: Result<&Permit, &CacheError>,
) -> UploadLimits {
    let limit = plan.upload_limit();
    let status = permit.ok().and_then(|permit| permit.status_of(limit));
    UploadLimits {
        file_bytes: u64::from(NewUpload::limit_mib(upload.file_type, plan.upload_mib.get())) << 20,
        stored_bytes: plan.stored_bytes(),
        is_reached: status.is_some_and(|status| status.reached),
        uploads: status.is_none().then_some(limit.count),
    }
}

/// The limit that is reached, counted by the cache, or by Postgres, whose count begins with `oldest`.
fn too_many(
    limit: Limit,
    permit: Result<&Permit, &CacheError>,
    oldest: Option<Timestamp>,
    now: Timestamp,
) -> LimitReached {
    let counted = permit.ok().and_then(|permit| permit.status_of(limit));
    let wait = match counted {
        Some(status) => status.reset_after,
        None => (oldest.unwrap_or(now) + limit.window).duration_since(now).unsigned_abs(),
    };
    LimitReached::new(limit, wait)
}

fn too_large(deps: &Deps, plan: &PlanId, upload: &NewUpload) -> UploadError {
    let limit_mib = |plan: &Plan| NewUpload::limit_mib(upload.file_type, plan.upload_mib.get());
    let is_enough = |plan: &&Plan| upload.size <= u64::from(limit_mib(plan)) << 20;
    UploadError::TooLarge {
        limit_mib: limit_mib(deps.plans.of(Some(plan))),
        upgrade: deps.plans.all().find(is_enough).map(Upgrade::to),
    }
}

fn storage_full(deps: &Deps, plan: &PlanId, used_bytes: u64, size: u64) -> UploadError {
    let is_enough = |plan: &&Plan| used_bytes + size <= plan.stored_bytes();
    UploadError::StorageFull {
        used_bytes,
        limit_bytes: deps.plans.of(Some(plan)).stored_bytes(),
        upgrade: deps.plans.all().find(is_enough).map(Upgrade::to),
    }
}
