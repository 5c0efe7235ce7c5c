//! Keys and their accounts: the `Authorization` header, and `GET /key`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::json;

use crate::errors::ApiError;
use crate::memory::Memory;

/// How long `GET /key` takes for a key that ends in `slow`.
const SLOW: Duration = Duration::from_secs(5);
/// Expiry of a key that ends in `expired`.
const EXPIRED_AT: &str = "2026-01-01T00:00:00Z";

/// A key that `OpenRouter` knows.
pub(crate) struct Key<'a> {
    text: &'a str,
    account: Account,
}

/// State of a key or its account, chosen by the key's suffix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    Good,
    Poor,
    Slow,
    Busy,
    Down,
    Expired,
    Managed,
}

const ACCOUNTS: [(&str, Account); 6] = [
    ("poor", Account::Poor),
    ("slow", Account::Slow),
    ("busy", Account::Busy),
    ("down", Account::Down),
    ("expired", Account::Expired),
    ("managed", Account::Managed),
];

/// The key in a request's headers, known or not.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

impl<'a> Key<'a> {
    /// Authenticates a request. Only the key's prefix is checked: the real length has changed before.
    pub(crate) fn of(headers: &'a HeaderMap, memory: &Memory) -> Result<Self, ApiError> {
        let text =
            bearer(headers).ok_or_else(|| ApiError::plain(401, "Missing Authentication header"))?;
        if !text.starts_with("sk-or-v1-") || text.ends_with("dead") || memory.is_revoked(text) {
            return Err(ApiError::usual(401, ""));
        }
        let ends_so = |(end, _): &&(&str, Account)| text.ends_with(end);
        let account = ACCOUNTS.iter().find(ends_so).map_or(Account::Good, |(_, account)| *account);
        Ok(Self { text, account })
    }

    /// Refuses a key that cannot be used for completions.
    pub(crate) fn may_ask(&self) -> Result<(), ApiError> {
        match self.account {
            Account::Good | Account::Slow | Account::Down => Ok(()),
            Account::Poor => Err(ApiError::usual(402, "")),
            Account::Busy => Err(ApiError::usual(429, "")),
            Account::Expired => Err(ApiError::usual(401, "")),
            Account::Managed => {
                let message = "Management keys cannot be used for completions";
                Err(ApiError::typed(403, message, "permission_denied"))
            }
        }
    }

    /// The whole key.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// `sk-or-v1-0e6...1c96`, as the account page shows it.
    fn label(&self) -> String {
        let text = self.text;
        let start = text.get(..12).unwrap_or(text);
        let end = text.len().checked_sub(4).and_then(|at| text.get(at..)).unwrap_or_default();
        format!("{start}...{end}")
    }
}

/// `GET /key`.
pub(crate) async fn key(
    State(memory): State<Arc<Memory>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let key = Key::of(&headers, &memory)?;
    match key.account {
        Account::Busy => return Err(ApiError::usual(429, "")),
        Account::Down => return Err(ApiError::usual(503, "")),
        Account::Slow => tokio::time::sleep(SLOW).await,
        Account::Good | Account::Poor | Account::Expired | Account::Managed => {}
    }
    let is_poor = key.account == Account::Poor;
    let (usage, remaining) = if is_poor { (100.0, 0.0) } else { (25.5, 74.5) };
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
        "is_management_key": key.account == Account::Managed,
        "include_byok_in_limit": false,
        "expires_at": (key.account == Account::Expired).then_some(EXPIRED_AT),
        "creator_user_id": "user_fake",
        "rate_limit": { "requests": -1, "interval": "10s", "note": "Deprecated." },
    }});
    Ok(Json(answer).into_response())
}
