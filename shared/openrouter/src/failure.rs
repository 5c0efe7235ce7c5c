//! What a provider's error means for the person who asked.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use shared_core::answer::ModelFailure;

/// The `error` object of a response or of an event in the stream. Its `code` is a number in one
/// part of the documentation and a word in another.
#[derive(Deserialize, Debug, Default)]
pub(crate) struct ErrorObject {
    code: Option<Value>,
    message: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    availability: Value,
}

/// The body of an error response.
#[derive(Deserialize, Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) error: ErrorObject,
}

/// Where a provider does not say when to come back.
const DEFAULT_RETRY: Duration = Duration::from_secs(10);

impl ErrorObject {
    /// The HTTP status that the error stands for.
    pub(crate) fn status(&self) -> u16 {
        let number = self.code.as_ref().and_then(Value::as_u64);
        match (self.error_type(), number.and_then(|code| u16::try_from(code).ok())) {
            // Comes as 400, 403 or 422.
            ("content_policy_violation" | "refusal", _) => 403,
            // Of our own key: nothing that the person can mend.
            ("authentication" | "permission_denied", _) => 401,
            (_, Some(number)) => number,
            ("rate_limit_exceeded", None) => 429,
            ("provider_overloaded" | "provider_unavailable", None) => 503,
            ("payment_required", None) => 402,
            ("timeout", None) => 504,
            (_, None) => 502,
        }
    }

    /// The kind of error, for logs: a word, never the provider's message, which may quote the prompt.
    pub(crate) fn error_type(&self) -> &str {
        let by_metadata = self.metadata.get("error_type").and_then(Value::as_str);
        by_metadata.or_else(|| self.code.as_ref().and_then(Value::as_str)).unwrap_or("")
    }

    fn retry_after(&self) -> Option<Duration> {
        self.availability.get("retry_after").and_then(Value::as_u64).map(Duration::from_secs)
    }

    fn reasons(&self) -> Vec<String> {
        let reasons = self.metadata.get("reasons").and_then(Value::as_array);
        reasons.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn says_too_long(&self) -> bool {
        matches!(
            self.error_type(),
            "context_length_exceeded"
                | "max_tokens_exceeded"
                | "token_limit_exceeded"
                | "string_too_long"
                | "payload_too_large"
        )
    }

    /// `OpenRouter` answers 400 to a model id that it does not know, and says so in words only.
    fn says_unknown_model(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.ends_with("is not a valid model ID"))
    }
}

/// `retry_after` is that of the response's header.
pub(crate) fn failure_of(
    status: u16,
    error: Option<&ErrorObject>,
    retry_after: Option<Duration>,
) -> ModelFailure {
    let retry_after =
        retry_after.or_else(|| error.and_then(ErrorObject::retry_after)).unwrap_or(DEFAULT_RETRY);
    if error.is_some_and(ErrorObject::says_too_long) {
        return ModelFailure::TooLarge;
    }
    if error.is_some_and(ErrorObject::says_unknown_model) {
        return ModelFailure::UnknownModel;
    }
    let status = match error.map(ErrorObject::status) {
        // A body that says no more than the response's own status, or less.
        None | Some(502) => status,
        Some(said) => said,
    };
    match status {
        402 => ModelFailure::OutOfCredit,
        403 => {
            ModelFailure::Refused { reasons: error.map(ErrorObject::reasons).unwrap_or_default() }
        }
        404 => ModelFailure::UnknownModel,
        408 => ModelFailure::RequestTimedOut,
        413 => ModelFailure::TooLarge,
        429 => ModelFailure::RateLimited { retry_after },
        503 | 529 => ModelFailure::Unavailable { retry_after },
        504 | 524 => ModelFailure::Silent,
        // 401 is our own key and 400, 422 our own request: nothing that the person can mend.
        _ => ModelFailure::Broken,
    }
}
