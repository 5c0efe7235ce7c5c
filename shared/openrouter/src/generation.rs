//! `GET /generation`: looks up the usage of a generation (backfill).
//!
//! A cancelled stream ends before its usage event, and not every provider stops billing then. `OpenRouter`
//! knows the usage a moment later.

use std::error::Error;
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use shared_core::chat::Usage;

use crate::api_response::{ApiResponseError, read_api_response};
use crate::chunk::answer_cost;

/// Timeout of a lookup; no user waits for it, only further lookups.
pub(crate) const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// Why the usage of a generation cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// `OpenRouter` rejects the key; other keys may still work.
    #[error("the provider refuses the key that a generation is looked up with")]
    KeyRefused,
    /// An error status, or an undocumented body; other generations may still be found.
    #[error("the lookup of a generation got an unexpected response")]
    Unexpected(#[source] Box<dyn Error + Send + Sync>),
    /// No response in time, or none at all.
    #[error("a generation cannot be looked up")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl From<ApiResponseError> for LookupError {
    fn from(failure: ApiResponseError) -> Self {
        match failure {
            ApiResponseError::Http(_) => Self::Unavailable(failure.into()),
            ApiResponseError::Status(_)
            | ApiResponseError::Overlong
            | ApiResponseError::Malformed { .. } => Self::Unexpected(failure.into()),
        }
    }
}

/// `total_cost` is required: it tells this document from any other JSON. Tokens are the provider's native
/// count, as in a stream's usage, and null where it gives none.
#[derive(Deserialize)]
struct Generation {
    total_cost: f64,
    native_tokens_prompt: Option<u32>,
    native_tokens_completion: Option<u32>,
    native_tokens_reasoning: Option<u32>,
    native_tokens_cached: Option<u32>,
}

/// Parses the response to `GET /generation`; `None` while `OpenRouter` does not know the generation.
pub(crate) async fn read_generation(response: Response) -> Result<Option<Usage>, LookupError> {
    match response.status().as_u16() {
        200 => {}
        401 | 403 => return Err(LookupError::KeyRefused),
        404 => return Ok(None),
        status => return Err(ApiResponseError::Status(status).into()),
    }
    Ok(Some(usage(&read_api_response(response).await?)))
}

fn usage(generation: &Generation) -> Usage {
    Usage {
        prompt_tokens: generation.native_tokens_prompt.unwrap_or(0),
        completion_tokens: generation.native_tokens_completion.unwrap_or(0),
        reasoning_tokens: generation.native_tokens_reasoning.unwrap_or(0),
        cached_tokens: generation.native_tokens_cached.unwrap_or(0),
        cost_nano_usd: Some(answer_cost(generation.total_cost)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_response::parse;

    fn read(body: &str) -> Option<Usage> {
        parse(body.as_bytes()).ok().map(|generation| usage(&generation))
    }

    #[test]
    fn native_token_counts_are_read() {
        let body = r#"{"data":{"id":"gen-1","cancelled":true,"total_cost":0.0012,"usage":0.0012,
            "tokens_prompt":9,"tokens_completion":14,"native_tokens_prompt":10,"native_tokens_completion":15,
            "native_tokens_reasoning":5,"native_tokens_cached":2}}"#;
        let expected = Usage {
            prompt_tokens: 10,
            completion_tokens: 15,
            reasoning_tokens: 5,
            cached_tokens: 2,
            cost_nano_usd: Some(1_200_000),
        };
        assert_eq!(read(body), Some(expected));
    }

    #[test]
    fn token_counts_may_be_null_or_absent_but_the_cost_may_not() {
        let free = Some(Usage { cost_nano_usd: Some(0), ..Usage::default() });
        assert_eq!(read(r#"{"data":{"total_cost":0,"native_tokens_prompt":null}}"#), free);
        assert_eq!(read(r#"{"data":{"total_cost":null}}"#), None);
        assert_eq!(read(r#"{"data":{}}"#), None);
    }

    #[test]
    fn an_absurd_cost_is_clamped() {
        for (cost, nano_usd) in [("-0.25", 0), ("1e300", 1_000_000_000_000_000)] {
            let usage = read(&format!(r#"{{"data":{{"total_cost":{cost}}}}}"#));
            assert_eq!(usage.unwrap().cost_nano_usd, Some(nano_usd));
        }
    }
}
