//! The session cookie.
//!
//! `__Host-`: the browser accepts it only over HTTPS (or from `localhost`), for this host alone and
//! for every path, so that no sibling domain can set one
//! ([RFC 6265bis §4.1.3.2](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis)).

use http::{HeaderMap, HeaderValue, header};
use shared_core::identity::ABSOLUTE_LIFETIME;

const NAME: &str = "__Host-session";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// `set-cookie` for a new session.
pub fn session_cookie(token: &str) -> HeaderValue {
    header_value(&format!("{NAME}={token}; {ATTRIBUTES}; Max-Age={}", ABSOLUTE_LIFETIME.as_secs()))
}

/// `set-cookie` that deletes the browser's session cookie.
pub fn clear_session_cookie() -> HeaderValue {
    header_value(&format!("{NAME}=; {ATTRIBUTES}; Max-Age=0"))
}

/// Never fails: a token is base64 and dots, and the rest is a constant.
fn header_value(cookie: &str) -> HeaderValue {
    HeaderValue::from_str(cookie)
        .unwrap_or_else(|_| HeaderValue::from_static("__Host-session=; Max-Age=0"))
}

/// The session token of a request's cookies.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}
