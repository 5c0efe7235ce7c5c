//! The user's sessions.

use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_core::account::AccountError;
use shared_http::{ApiError, CurrentUser, ErrorBody, ErrorCode, Json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Deps;

/// Default page size.
const PAGE: usize = 20;
/// Maximum page size.
const LARGEST_PAGE: usize = 100;

/// Cursor and size of a page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
    /// Page size, 1 to 100; 20 by default.
    limit: Option<usize>,
}

/// One page of the user's sessions, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionList {
    /// The sessions.
    items: Vec<SessionItem>,
    /// Cursor of the next page, or null on the last.
    next_cursor: Option<String>,
}

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
        (status = 200, body = SessionList),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_cursor`, or `invalid_request` for a bad limit"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn sessions(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<SessionList>, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorCode::InvalidRequest, error.body_text()))?;
    let after = query.cursor.map(|cursor| cursor.parse::<Uuid>()).transpose();
    let after = after.map_err(|_| AccountError::MalformedCursor)?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let page = deps.database.request(&session, deps.app.clock().now()).sessions(after, limit).await;
    let page = page.map_err(AccountError::from)?;
    let items = page.items.into_iter().map(|item| SessionItem {
        id: item.id.0,
        current: item.id == session.id,
        created_at: item.created_at,
        last_seen_at: item.last_seen_at,
        expires_at: item.expires_at,
        user_agent: item.user_agent,
    });
    Ok(Json(SessionList {
        items: items.collect(),
        next_cursor: page.next.map(|next| next.to_string()),
    }))
}
