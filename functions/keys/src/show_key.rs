//! Returns the metadata of the user's own key (BYOK), never the key.

use axum::extract::State;
use shared_core::keys::KeyError;
use shared_http::{ApiError, CurrentUser, ErrorBody, Json};

use crate::Deps;
use crate::body::KeyBody;

/// The user's own key
///
/// Its settings, and its metadata at `OpenRouter` as of when it was stored. The key itself is never
/// returned.
#[utoipa::path(
    get, path = "/api/keys/openrouter", tag = "keys",
    responses(
        (status = 200, body = KeyBody),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`key_not_found`"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn show_key(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
) -> Result<Json<KeyBody>, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    let status = database.key_overview(None).await.map_err(KeyError::from)?;
    Ok(Json(status.key.ok_or(KeyError::Missing)?.into()))
}
