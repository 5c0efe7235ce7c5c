//! The user's sessions.

use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use shared_core::identity::AccountError;
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, PageBody, PageQuery, Paging};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Deps;

/// One session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionItem {
    /// The session's id.
    id: Uuid,
    /// Whether this request was made with it.
    current: bool,
    /// When the user logged in.
    created_at: Timestamp,
    /// When it was last used, to about ten minutes.
    last_seen_at: Timestamp,
    /// When it ends at the latest.
    expires_at: Timestamp,
    /// The browser's `User-Agent` header.
    user_agent: Option<String>,
}

/// List the user's sessions
#[utoipa::path(
    get, path = "/api/me/sessions", tag = "account", params(PageQuery),
    responses(
        (status = 200, body = PageBody<SessionItem>, description = "Newest first"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_cursor`, or `invalid_request` for a bad limit"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn sessions(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Paging(page): Paging,
) -> Result<Json<PageBody<SessionItem>>, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    let sessions = database.sessions(&page).await.map_err(AccountError::from)?;
    Ok(Json(PageBody::new(sessions, |item| SessionItem {
        id: item.id.0,
        current: item.id == session.id,
        created_at: item.created_at,
        last_seen_at: item.last_seen_at,
        expires_at: item.expires_at,
        user_agent: item.user_agent,
    })))
}
