//! Whose key it is: the `Authorization` header, and `GET /key`.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::json;

use crate::errors::ApiError;

/// How long `GET /key` takes for a key that ends in `slow`.
const SLOW: Duration = Duration::from_secs(5);

/// A key that `OpenRouter` accepts.
pub(crate) struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// The key of a request. Only the prefix is checked: the real length has changed before.
    pub(crate) fn of(headers: &'a HeaderMap) -> Result<Self, ApiError> {
        let key = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.split_once(' '))
            .filter(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty())
            .map(|(_, key)| key.trim())
            .ok_or_else(|| ApiError::plain(401, "Missing Authentication header"))?;
        if !key.starts_with("sk-or-v1-") || key.ends_with("dead") {
            return Err(ApiError::usual(401, ""));
        }
        Ok(Self(key))
    }

    /// Whether the account has spent everything.
    pub(crate) fn is_poor(&self) -> bool {
        self.0.ends_with("poor")
    }

    fn is_slow(&self) -> bool {
        self.0.ends_with("slow")
    }

    /// `sk-or-v1-0e6...1c96`, as the account page shows it.
    fn label(&self) -> String {
        let start = self.0.get(..12).unwrap_or(self.0);
        let end = self.0.len().checked_sub(4).and_then(|at| self.0.get(at..)).unwrap_or_default();
        format!("{start}...{end}")
    }
}

/// `GET /key`.
pub(crate) async fn key(headers: HeaderMap) -> Result<Response, ApiError> {
    let key = Key::of(&headers)?;
    if key.is_slow() {
        tokio::time::sleep(SLOW).await;
    }
    let (usage, remaining) = if key.is_poor() { (100.0, 0.0) } else { (25.5, 74.5) };
    let answer = json!({ "data": {
        "label": key.label(),
        "limit": 100.0,
        "limit_remaining": remaining,
        "limit_reset": null,
        "usage": usage,
        "usage_daily": 1.5,
        "usage_weekly": 5.5,
        "usage_monthly": 25.5,
        "byok_usage": 0.0,
        "byok_usage_daily": 0.0,
        "byok_usage_weekly": 0.0,
        "byok_usage_monthly": 0.0,
        "is_free_tier": false,
        "is_management_key": false,
        "include_byok_in_limit": false,
        "expires_at": null,
        "creator_user_id": "user_fake",
        "rate_limit": { "requests": -1, "interval": "10s", "note": "Deprecated." },
    }});
    Ok(Json(answer).into_response())
}
