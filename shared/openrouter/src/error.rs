//! Maps a provider's error to a [`ModelError`]: what it means for the user.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use shared_core::models::ModelError;

/// Owner of the key that pays. Users can fix what is wrong with their own key (BYOK), but not with the
/// platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOwner {
    Platform,
    User,
}

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

/// Retry delay where the provider gives none.
pub(crate) const DEFAULT_RETRY: Duration = Duration::from_secs(10);

impl ErrorObject {
    /// The HTTP status that the error stands for.
    pub(crate) fn status(&self) -> u16 {
        if self.says_key_limit() {
            return 402;
        }
        let number = self.code.as_ref().and_then(Value::as_u64);
        match (self.error_type(), number.and_then(|code| u16::try_from(code).ok())) {
            // The first two come as 400, 403 or 422.
            ("content_policy_violation" | "refusal" | "permission_denied", _) => 403,
            ("authentication", _) => 401,
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

    /// `OpenRouter` responds to an unknown model id with 400; only the message tells the reason.
    fn says_unknown_model(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.ends_with("is not a valid model ID"))
    }

    /// The model exists, but no endpoint of it takes images: 404, too, and only the message tells the reason. Not documented;
    /// clients report it, such as in [openclaw #99079](https://github.com/openclaw/openclaw/pull/99079).
    fn says_no_images(&self) -> bool {
        self.message
            .as_deref()
            .is_some_and(|message| message.starts_with("No endpoints found that support image"))
    }

    /// A key that has reached its own limit is refused with 403; only the message tells the reason.
    fn says_key_limit(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.starts_with("Key limit exceeded"))
    }

    /// An error of the model's provider, which `OpenRouter` passes on: not the key's fault. A null name
    /// counts, too: `OpenRouter`'s own errors do not have the field.
    fn is_the_providers(&self) -> bool {
        self.metadata.get("provider_name").is_some()
    }

    /// `OpenRouter` itself rejects the key. The error type alone is not enough: it comes with other codes,
    /// too.
    fn refuses_the_key(&self) -> bool {
        let code = self.code.as_ref().and_then(Value::as_u64);
        code == Some(401) && !self.is_the_providers()
    }

    /// Only a rate limit of the account has these headers; they come with the response, or in `metadata`.
    fn has_rate_limit_headers(&self) -> bool {
        let headers = self.metadata.get("headers").and_then(Value::as_object);
        headers.is_some_and(|headers| {
            headers.keys().any(|name| name.eq_ignore_ascii_case(RATE_LIMIT_HEADER))
        })
    }
}

const RATE_LIMIT_HEADER: &str = "x-ratelimit-limit";

/// The header `retry-after`, in seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error with its context: instead of an answer, or as an event of its stream.
pub(crate) struct ProviderError<'a> {
    key_owner: KeyOwner,
    status: u16,
    error: Option<&'a ErrorObject>,
    retry_after: Option<Duration>,
    limits_the_account: bool,
    refuses_the_key: bool,
}

impl<'a> ProviderError<'a> {
    /// An error response with this status and these headers.
    pub(crate) fn of_response(
        key_owner: KeyOwner,
        status: u16,
        headers: &HeaderMap,
        error: Option<&'a ErrorObject>,
    ) -> Self {
        Self {
            key_owner,
            status,
            error,
            retry_after: retry_after(headers),
            limits_the_account: headers.contains_key(RATE_LIMIT_HEADER),
            // A proxy in between may respond with 401, too. A refused key is not used again, so only
            // OpenRouter's own 401 counts.
            refuses_the_key: status == 401 && error.is_some_and(ErrorObject::refuses_the_key),
        }
    }

    /// An error event in an accepted stream: the key was accepted, too.
    pub(crate) fn of_event(key_owner: KeyOwner, error: &'a ErrorObject) -> Self {
        let (status, error) = (error.status(), Some(error));
        let (limits_the_account, refuses_the_key) = (false, false);
        Self { key_owner, status, error, retry_after: None, limits_the_account, refuses_the_key }
    }

    /// Returns what the error means for the user.
    pub(crate) fn model_error(&self) -> ModelError {
        let error = self.error;
        if error.is_some_and(ErrorObject::says_too_long) {
            return ModelError::TooLarge;
        }
        if error.is_some_and(ErrorObject::says_no_images) {
            return ModelError::CannotReadImages;
        }
        if error.is_some_and(ErrorObject::says_unknown_model) {
            return ModelError::UnknownModel;
        }
        let status = match error.map(ErrorObject::status) {
            // No body, or one that says no more than the response's own status.
            None | Some(502) => self.status,
            Some(said) => said,
        };
        match self.key_owner {
            KeyOwner::Platform => self.of_the_platform(status),
            KeyOwner::User => self.of_the_key(status),
        }
    }

    /// A turn paid by the platform's key: users cannot fix that key.
    fn of_the_platform(&self, status: u16) -> ModelError {
        match status {
            403 if self.error.is_some_and(|error| error.error_type() == "permission_denied") => {
                ModelError::Broken
            }
            _ => self.of_the_model(status),
        }
    }

    /// A turn paid by the user's own key (BYOK).
    fn of_the_key(&self, status: u16) -> ModelError {
        let of_the_provider = self.error.is_some_and(ErrorObject::is_the_providers);
        let limits_the_account =
            self.limits_the_account || self.error.is_some_and(ErrorObject::has_rate_limit_headers);
        match status {
            401 if self.refuses_the_key => ModelError::KeyRefused,
            402 if !of_the_provider => ModelError::KeyExhausted,
            429 if limits_the_account => ModelError::KeyBusy { retry_after: self.retry_after() },
            _ => self.of_the_model(status),
        }
    }

    /// Errors that mean the same for both keys.
    fn of_the_model(&self, status: u16) -> ModelError {
        match status {
            402 => ModelError::OutOfCredit,
            403 => ModelError::Refused {
                reasons: self.error.map(ErrorObject::reasons).unwrap_or_default(),
            },
            404 => ModelError::UnknownModel,
            408 => ModelError::RequestTimedOut,
            413 => ModelError::TooLarge,
            429 => ModelError::RateLimited { retry_after: self.retry_after() },
            503 | 529 => ModelError::Unavailable { retry_after: self.retry_after() },
            504 | 524 => ModelError::IdleTimeout,
            // 401 is about the platform's key, the provider's key, or from a proxy; 400 and 422 are about our
            // own request: nothing that the user can fix.
            _ => ModelError::Broken,
        }
    }

    fn retry_after(&self) -> Duration {
        let said = self.retry_after.or_else(|| self.error.and_then(ErrorObject::retry_after));
        said.unwrap_or(DEFAULT_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const IN_10_S: Duration = DEFAULT_RETRY;

    fn error(code: u16, message: &str, metadata: Value) -> ErrorObject {
        let message = Some(message.to_owned());
        ErrorObject { code: Some(code.into()), message, metadata, ..ErrorObject::default() }
    }

    /// What an error in a stream means if the platform's key pays, and if the user's own key pays.
    fn meanings(error: &ErrorObject) -> [ModelError; 2] {
        [KeyOwner::Platform, KeyOwner::User]
            .map(|key_owner| ProviderError::of_event(key_owner, error).model_error())
    }

    /// What a response with this body means for the same two.
    fn meanings_of_response(status: u16, body: &Value) -> [ModelError; 2] {
        let body = serde_json::from_value::<ErrorResponse>(body.clone());
        let (error, headers) = (body.ok().map(|body| body.error), HeaderMap::new());
        [KeyOwner::Platform, KeyOwner::User].map(|key_owner| {
            ProviderError::of_response(key_owner, status, &headers, error.as_ref()).model_error()
        })
    }

    #[test]
    fn of_bare_codes_only_402_depends_on_whose_key_pays() {
        let of = |code| meanings(&error(code, "x", Value::Null));
        assert_eq!(of(402), [ModelError::OutOfCredit, ModelError::KeyExhausted]);
        for code in [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 524, 529] {
            let [platform, user] = of(code);
            assert_eq!(platform, user, "{code}");
        }
    }

    #[test]
    fn a_key_is_refused_only_by_openrouter_itself() {
        let unknown = json!({ "code": 401, "message": "User not found." });
        let typed = json!({ "code": 401, "metadata": { "error_type": "authentication" } });
        for error in [unknown, typed] {
            let meanings = meanings_of_response(401, &json!({ "error": error }));
            assert_eq!(meanings, [ModelError::Broken, ModelError::KeyRefused], "{error}");
        }

        for (status, body) in [
            // A proxy's page, and errors that are not in OpenRouter's format.
            (401, json!("<html>Unauthorized</html>")),
            (401, json!({ "message": "Unauthorized" })),
            (401, json!({ "error": "unauthorized" })),
            (401, json!({ "error": null })),
            (401, json!({ "error": {} })),
            (401, json!({ "error": { "code": "401" } })),
            (401, json!({ "error": { "code": "authentication" } })),
            // Errors of the model's provider.
            (401, json!({ "error": { "code": 401, "metadata": { "provider_name": "OpenAI" } } })),
            (401, json!({ "error": { "code": 401, "metadata": { "provider_name": null } } })),
            // The code and the status contradict each other.
            (502, json!({ "error": { "code": 401 } })),
            (401, json!({ "error": { "code": 400 } })),
            // The type alone.
            (401, json!({ "error": { "metadata": { "error_type": "authentication" } } })),
            (
                403,
                json!({ "error": { "code": 403, "metadata": { "error_type": "authentication" } } }),
            ),
        ] {
            let meanings = meanings_of_response(status, &body);
            assert_eq!(meanings, [ModelError::Broken, ModelError::Broken], "{status} {body}");
        }
    }

    #[test]
    fn a_401_in_an_accepted_stream_does_not_refuse_the_key() {
        for metadata in [Value::Null, json!({ "error_type": "authentication" })] {
            let said = meanings(&error(401, "User not found.", metadata));
            assert_eq!(said, [ModelError::Broken, ModelError::Broken]);
        }
    }

    #[test]
    fn a_model_that_cannot_see_is_distinguished_from_an_unknown_one() {
        for message in
            ["No endpoints found that support image input", "No endpoints found for x/y."]
        {
            let [platform, user] = meanings(&error(404, message, Value::Null));
            let expected = if message.ends_with("input") {
                ModelError::CannotReadImages
            } else {
                ModelError::UnknownModel
            };
            assert_eq!([&platform, &user], [&expected, &expected]);
        }
    }

    #[test]
    fn a_key_limit_is_distinguished_from_moderation() {
        let limit = error(403, "Key limit exceeded (total limit). Manage it using …", Value::Null);
        assert_eq!(meanings(&limit), [ModelError::OutOfCredit, ModelError::KeyExhausted]);
        let flagged = json!({ "error_type": "content_policy_violation", "reasons": ["violence"] });
        let refused = ModelError::Refused { reasons: vec!["violence".into()] };
        assert_eq!(meanings(&error(403, "flagged", flagged)), [refused.clone(), refused]);
    }

    #[test]
    fn permission_denied_is_not_reported_as_a_refused_key() {
        let denied = error(403, "x", json!({ "error_type": "permission_denied" }));
        let refused = ModelError::Refused { reasons: Vec::new() };
        assert_eq!(meanings(&denied), [ModelError::Broken, refused]);
    }

    #[test]
    fn an_error_of_the_models_provider_does_not_blame_the_key() {
        for provider in [json!("OpenAI"), Value::Null] {
            let metadata = json!({ "provider_name": provider });
            let said = meanings(&error(402, "Provider returned error", metadata));
            assert_eq!(said, [ModelError::OutOfCredit, ModelError::OutOfCredit], "{provider}");
        }
    }

    #[test]
    fn an_account_rate_limit_is_distinguished_from_a_busy_model() {
        let model = ModelError::RateLimited { retry_after: IN_10_S };
        assert_eq!(meanings(&error(429, "x", Value::Null)), [model.clone(), model.clone()]);

        let headers = json!({ "headers": { "X-RateLimit-Limit": "50" } });
        let key = ModelError::KeyBusy { retry_after: IN_10_S };
        assert_eq!(meanings(&error(429, "x", headers)), [model, key]);

        let mut headers = HeaderMap::new();
        headers.insert(RATE_LIMIT_HEADER, 20.into());
        headers.insert(RETRY_AFTER, 7.into());
        let response = ProviderError::of_response(KeyOwner::User, 429, &headers, None);
        let retry_after = Duration::from_secs(7);
        assert_eq!(response.model_error(), ModelError::KeyBusy { retry_after });
    }
}
