//! Deletes the user's own key (BYOK).

use axum::extract::State;
use http::StatusCode;
use shared_core::keys::KeyError;
use shared_http::{ApiError, CurrentUser, ErrorBody};

use crate::Deps;

/// Remove the user's own key
///
/// Permanent: only its ciphertext was stored here, and that is deleted. Turns that have begun with it go
/// on. There is no rate limit, and neither the cache nor the vault is needed: a user can always withdraw
/// the key. Revoking it at `OpenRouter`, too, is up to its owner.
#[utoipa::path(
    delete, path = "/api/keys/openrouter", tag = "keys",
    responses(
        (status = 204, description = "There is no key (any more)"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn delete_key(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
) -> Result<StatusCode, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    database.delete_key().await.map_err(KeyError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
