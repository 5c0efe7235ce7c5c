//! The logged-in user, and changes of the display name.

use axum::extract::State;
use serde::{Deserialize, Deserializer};
use shared_core::identity::{AccountError, DisplayName};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, UserBody};
use utoipa::ToSchema;

use crate::Deps;

/// Changes of the user's account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "left out, null, or a name")]
pub(crate) struct MeChange {
    /// The display name, 1 to 100 characters, or null to remove it; omitted, it stays unchanged.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
}

/// Distinguishes a null field from an omitted one.
#[expect(clippy::option_option, reason = "left out, null, or a name")]
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The logged-in user
#[utoipa::path(
    get, path = "/api/me", tag = "account",
    responses(
        (status = 200, body = UserBody),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn me(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
) -> Result<Json<UserBody>, ApiError> {
    let user = deps.database.request(&session, deps.app.clock().now()).user().await;
    Ok(Json(user.map_err(AccountError::from)?.into()))
}

/// Change the display name
#[utoipa::path(
    patch, path = "/api/me", tag = "account", request_body = MeChange,
    responses(
        (status = 200, body = UserBody),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_name`, or `invalid_request` for an unknown field"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn change_me(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Json(change): Json<MeChange>,
) -> Result<Json<UserBody>, ApiError> {
    let database = deps.database.request(&session, deps.app.clock().now());
    let user = match change.name {
        None => database.user().await,
        Some(name) => {
            let name = name.as_deref().map(DisplayName::parse).transpose()?;
            database.rename(name.as_ref()).await
        }
    };
    Ok(Json(user.map_err(AccountError::from)?.into()))
}
