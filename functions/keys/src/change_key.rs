//! Changes the policy and the monthly cap of the user's own key (BYOK).

use axum::extract::State;
use serde::Deserialize;
use shared_core::keys::{KeyError, KeyPolicy};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, key_policy_schema};
use utoipa::ToSchema;

use crate::Deps;
use crate::body::{KeyBody, given, key_change};
use crate::unreadable::unquoted;

/// Settings to change; an omitted one stays unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::option_option, reason = "left out, null, or a cap")]
pub(crate) struct KeySettingsChange {
    #[serde(default, rename = "policy", deserialize_with = "given")]
    #[schema(schema_with = key_policy_schema, required = false)]
    policy: Option<KeyPolicy>,
    /// Cap on the key's spending here per calendar month (UTC), 0.01 to 100000 US dollars, or null for
    /// no cap.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, example = 20)]
    monthly_cap_usd: Option<Option<f64>>,
}

/// Change the settings of the user's own key
///
/// Does not call `OpenRouter` and does not count as a change of the key. A cap is compared with the
/// month's spending when a turn begins.
#[utoipa::path(
    patch, path = "/api/keys/openrouter", tag = "keys", request_body = KeySettingsChange,
    responses(
        (status = 200, body = KeyBody),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`key_not_found`"),
        (status = 422, body = ErrorBody, description = "`invalid_cap`, or `invalid_request` for an unknown or a wrong field"),
        (status = 503, body = ErrorBody, description = "`unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn change_key(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    request: Result<Json<KeySettingsChange>, ApiError>,
) -> Result<Json<KeyBody>, ApiError> {
    let Json(KeySettingsChange { policy, monthly_cap_usd }) =
        request.map_err(|error| unquoted(error, "any of"))?;
    let change = key_change(policy, monthly_cap_usd).map_err(KeyError::from)?;
    let database = deps.database.request(&session, deps.app.clock().now());
    let key = database.change_key(change).await.map_err(KeyError::from)?;
    Ok(Json(key.ok_or(KeyError::Missing)?.into()))
}
