//! The state of a rate limit, as headers: `ratelimit-limit`, `ratelimit-remaining` and
//! `ratelimit-reset` as in [draft-ietf-httpapi-ratelimit-headers-06][draft], which was the last to
//! have these three. Later drafts fold them into one structured field, which fewer clients read.
//!
//! [draft]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06

use std::convert::Infallible;
use std::time::Duration;

use axum::response::{IntoResponseParts, ResponseParts};
use shared_core::limits::{LimitReached, LimitStatus, whole_seconds};

/// The state of a rate limit. Can be added to any response: `(rate_limit, response).into_response()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// Requests allowed within the window.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// Time until one more is allowed; whole seconds in the header, rounded up.
    pub reset: Duration,
}

impl From<LimitStatus> for RateLimitHeaders {
    fn from(status: LimitStatus) -> Self {
        let LimitStatus { limit, remaining, reset_after, reached: _ } = status;
        Self { limit: limit.count, remaining, reset: reset_after }
    }
}

impl From<LimitReached> for RateLimitHeaders {
    fn from(LimitReached { limit, retry_after }: LimitReached) -> Self {
        Self { limit: limit.count, remaining: 0, reset: retry_after }
    }
}

impl IntoResponseParts for RateLimitHeaders {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        let headers = response.headers_mut();
        headers.insert("ratelimit-limit", self.limit.into());
        headers.insert("ratelimit-remaining", self.remaining.into());
        headers.insert("ratelimit-reset", whole_seconds(self.reset).into());
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::{IntoResponse, Response};
    use http::StatusCode;
    use shared_core::chat::{SendError, TurnLookupError};
    use shared_core::identity::LoginError;
    use shared_core::limits::Limit;

    use super::*;
    use crate::ApiError;

    /// The status, and the headers that are about limits.
    fn headers_of(response: &Response) -> String {
        let names = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"];
        let header = |name| {
            let value = response.headers().get(name)?;
            Some(format!("{name}: {}", value.to_str().unwrap()))
        };
        let status = response.status().as_u16().to_string();
        std::iter::once(status)
            .chain(names.into_iter().filter_map(header))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn a_response_carries_its_rate_limit() {
        let status = LimitStatus {
            limit: Limit::per_minute(10),
            remaining: 7,
            reset_after: Duration::from_millis(41_001),
            reached: false,
        };
        let response =
            (RateLimitHeaders::from(status), StatusCode::OK.into_response()).into_response();
        insta::assert_snapshot!(
            headers_of(&response),
            @"200, ratelimit-limit: 10, ratelimit-remaining: 7, ratelimit-reset: 42"
        );
    }

    #[test]
    fn a_rate_limited_turn_has_retry_after() {
        let reached = LimitReached::new(Limit::per_minute(10), Duration::from_millis(500));
        let response = ApiError::from(SendError::from(reached)).into_response();
        insta::assert_snapshot!(
            headers_of(&response),
            @"429, ratelimit-limit: 10, ratelimit-remaining: 0, ratelimit-reset: 1, retry-after: 1"
        );
    }

    /// Which limit it was would reveal how often others requested codes for an address.
    #[test]
    fn a_rate_limited_login_does_not_reveal_which_limit_it_was() {
        let reached = LimitReached::new(Limit::per_hour(5), Duration::from_secs(30));
        let response = ApiError::from(LoginError::from(reached)).into_response();
        insta::assert_snapshot!(headers_of(&response), @"429, retry-after: 30");
    }

    #[test]
    fn any_error_can_carry_a_rate_limit() {
        let rate_limit =
            RateLimitHeaders { limit: 10, remaining: 3, reset: Duration::from_mins(1) };
        let response = (rate_limit, ApiError::from(TurnLookupError::ChatNotFound)).into_response();
        insta::assert_snapshot!(
            headers_of(&response),
            @"404, ratelimit-limit: 10, ratelimit-remaining: 3, ratelimit-reset: 60"
        );
    }
}
