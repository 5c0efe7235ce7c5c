//! Stores a key: the only request that has it in plaintext.
//!
//! ```text
//! body ──parse──▶ key ──▶ Postgres: plan, data key ──▶ Valkey: rate limit ──▶ OpenRouter: check
//!                  └──────────────── encrypted by the vault ──▶ Postgres: ciphertext
//! ```

use axum::extract::State;
use axum::response::IntoResponse;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared_cache::Subject;
use shared_core::billing::PlanId;
use shared_core::identity::Session;
use shared_core::keys::{DataKeyId, KeyError, KeyPolicy, ProviderKey, Sealed, WrappedKey};
use shared_http::{ApiError, CurrentUser, ErrorBody, Json, RateLimitHeaders, key_policy_schema};
use shared_postgres::{KeyChange, NewKey, StoredKey};
use utoipa::ToSchema;

use crate::body::{KeyBody, given, key_change};
use crate::unreadable::unquoted;
use crate::{Deps, unavailable};

/// A key and its settings. An omitted setting stays unchanged; for a first key it is `fallback`, without
/// a cap.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::option_option, reason = "left out, null, or a cap")]
pub(crate) struct ProviderKeyRequest {
    /// The key, as openrouter.ai/settings/keys shows it once: `sk-or-…`.
    #[schema(value_type = String, format = Password, write_only)]
    key: SecretString,
    #[serde(default, rename = "policy", deserialize_with = "given")]
    #[schema(schema_with = key_policy_schema, required = false)]
    policy: Option<KeyPolicy>,
    /// Cap on the key's spending here per calendar month (UTC), 0.01 to 100000 US dollars, or null for
    /// no cap.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, example = 20)]
    monthly_cap_usd: Option<Option<f64>>,
}

impl ProviderKeyRequest {
    /// Consumes the request, so that its copy of the key is zeroized here.
    fn parse(self) -> Result<(ProviderKey, KeyChange), KeyError> {
        let key = ProviderKey::parse(self.key.expose_secret())?;
        Ok((key, key_change(self.policy, self.monthly_cap_usd)?))
    }
}

/// Store the user's own key
///
/// The key is first checked with `OpenRouter`; one that cannot call models is rejected, and an earlier
/// key stays. A key with nothing left to spend is stored: that may change.
///
/// Each well-formed key counts as a change, whatever the result of the check: the plan limits the changes
/// in 24 hours.
#[utoipa::path(
    put, path = "/api/keys/openrouter", tag = "keys", request_body = ProviderKeyRequest,
    responses(
        (status = 200, body = KeyBody, headers(
            ("ratelimit-limit" = u32, description = "changes of the key that the plan allows in 24 hours"),
            ("ratelimit-remaining" = u32, description = "how many of them are left"),
            ("ratelimit-reset" = u64, description = "seconds until there is one more"),
        )),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 422, body = ErrorBody, description = "`invalid_key`, `key_unknown` or `invalid_cap`, or `invalid_request` for an unknown field"),
        (status = 429, body = ErrorBody, description = "`too_many_key_changes`; or `key_busy`, if OpenRouter was asked too often. With `retry-after`"),
        (status = 503, body = ErrorBody, description = "`key_check_unavailable` or `unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn put_key(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    request: Result<Json<ProviderKeyRequest>, ApiError>,
) -> Result<impl IntoResponse, ApiError> {
    let Json(request) =
        request.map_err(|error| unquoted(error, "\"key\", a text, and if you like"))?;
    let (key, change) = request.parse()?;
    let now = deps.app.clock().now();
    let database = deps.database.request(&session, now);
    let status = database.key_overview(Some(deps.vault.master())).await.map_err(KeyError::from)?;
    let rate_limit = take_change(&deps, &session, status.plan.as_ref(), now).await?;
    let stored = store(&deps, &session, key, change, status.data_key, now).await;
    // The rate-limit headers are also sent if the key was rejected: the attempt has counted.
    Ok((rate_limit, stored.map(|key| Json(KeyBody::from(key))).map_err(ApiError::from)))
}

/// Fails closed without the cache: this route reveals whether a key is valid. An attacker must not check a
/// list of stolen keys here, nor have `OpenRouter` hold it against us. A change can wait.
async fn take_change(
    deps: &Deps,
    session: &Session,
    plan: Option<&PlanId>,
    now: Timestamp,
) -> Result<RateLimitHeaders, KeyError> {
    let limit = deps.plans.of(plan).key_change_limit();
    let subject = Subject::User(session.user);
    let permit = deps.cache.acquire_any(&subject, "key-changes", &[limit], now).await;
    let permit = permit.map_err(unavailable)?;
    let status = permit.statuses().first().ok_or_else(|| unavailable("a limit has no status"))?;
    status.allowed()?;
    Ok(RateLimitHeaders::from(*status))
}

/// Checks, encrypts and stores the key.
async fn store(
    deps: &Deps,
    session: &Session,
    key: ProviderKey,
    change: KeyChange,
    data_key: Option<WrappedKey>,
    now: Timestamp,
) -> Result<StoredKey, KeyError> {
    let info = deps.openrouter.check_key(&key, now).await?;
    let data_key = match data_key {
        Some(data_key) => data_key,
        None => add_data_key(deps, session, now).await?,
    };
    let masked = key.masked();
    let sealed = seal(deps, &data_key, session, key).await?;
    let new = NewKey { sealed: &sealed, masked: &masked, change, info: &info };
    deps.database.request(session, now).put_key(&new).await.map_err(KeyError::from)
}

/// Creates the data key that the first key under a master key needs. In a race, both requests encrypt under
/// the data key that was stored first.
async fn add_data_key(
    deps: &Deps,
    session: &Session,
    now: Timestamp,
) -> Result<WrappedKey, KeyError> {
    let id = DataKeyId(deps.app.entropy().uuid(now));
    let made = deps.vault.new_data_key(id).await.map_err(unavailable)?;
    deps.database.request(session, now).add_data_key(&made).await.map_err(KeyError::from)
}

/// Consumes the key, so that this copy is zeroized on return. The bytes of the request, and those that the
/// HTTP client sent, are out of this code's reach.
async fn seal(
    deps: &Deps,
    data_key: &WrappedKey,
    session: &Session,
    key: ProviderKey,
) -> Result<Sealed, KeyError> {
    let secret = SecretString::from(key.expose());
    deps.vault.seal(data_key, session.user, &secret).await.map_err(unavailable)
}
