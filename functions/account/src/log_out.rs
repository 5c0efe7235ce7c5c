//! Ends one or all of the user's sessions for good: their tokens are refused from then on.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::{StatusCode, header};
use serde::Deserialize;
use shared_core::identity::AccountError;
use shared_http::{ApiError, CurrentUser, Empty, ErrorBody, clear_session_cookie};
use utoipa::ToSchema;

use crate::Deps;

/// Which sessions to end.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct LogoutRequest {
    /// End all of the user's sessions, not just this one.
    #[serde(default)]
    all: bool,
}

/// Log out
///
/// Ends this session, or with `{"all": true}` all of the user's sessions. The body is optional.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "login",
    request_body(content = Option<LogoutRequest>),
    responses(
        (status = 204, description = "Logged out; the cookie is cleared"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 503, body = ErrorBody, description = "`unavailable`: still logged in, try again"),
    )
)]
pub(crate) async fn log_out(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Empty(request): Empty<LogoutRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    let ended = if request.unwrap_or_default().all {
        database.log_out_everywhere().await
    } else {
        database.log_out().await
    };
    ended.map_err(AccountError::from)?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, clear_session_cookie())])))
}
