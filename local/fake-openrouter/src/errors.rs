//! `OpenRouter`'s errors: `{"error":{"code","message","metadata"}}`, the texts and types of each status, and
//! the headers that tell a client when to retry.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::clock;
use crate::script::Status;

/// An error, before it becomes an HTTP response.
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) message: String,
    /// `Value::Null` leaves `metadata` out.
    pub(crate) metadata: Value,
}

impl ApiError {
    /// An error without metadata, as in the recorded bodies for a missing key and an unknown model.
    pub(crate) fn plain(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), metadata: Value::Null }
    }

    pub(crate) fn typed(status: u16, message: impl Into<String>, error_type: &str) -> Self {
        Self { status, message: message.into(), metadata: json!({ "error_type": error_type }) }
    }

    /// `OpenRouter`'s usual error with this status, about `model`.
    pub(crate) fn usual(status: u16, model: &str) -> Self {
        let (message, error_type) = match status {
            400 => ("Provider returned error: invalid request", "invalid_request"),
            401 => ("User not found.", "authentication"),
            402 => {
                let message = "Insufficient credits. Add more using https://openrouter.ai/credits";
                (message, "payment_required")
            }
            403 => return Self::moderated(model),
            404 => ("No endpoints found for this model.", "not_found"),
            408 => ("Request timed out", "timeout"),
            413 => ("Request payload is too large", "payload_too_large"),
            422 => ("Request could not be processed", "unprocessable"),
            429 => ("Rate limit exceeded", "rate_limit_exceeded"),
            500 => ("Internal Server Error", "server"),
            502 => ("Provider returned an invalid response", "provider_unavailable"),
            503 => ("No provider available for this model", "provider_unavailable"),
            524 => ("Provider timed out", "timeout"),
            529 => ("Provider returned error: overloaded", "provider_overloaded"),
            _ => ("Provider returned error", "unmapped"),
        };
        Self::typed(status, message, error_type)
    }

    fn moderated(model: &str) -> Self {
        Self {
            status: 403,
            message: format!(
                "{model} requires moderation on OpenAI. Your input was flagged for \"violence\"."
            ),
            metadata: json!({
                "error_type": "content_policy_violation",
                "reasons": ["violence"],
                "flagged_input": "the part of the input that was flagged",
                "provider_name": "OpenAI",
                "model_slug": model,
            }),
        }
    }

    fn body(&self) -> Value {
        let mut error = json!({ "code": self.status, "message": self.message });
        if !self.metadata.is_null() {
            error["metadata"] = self.metadata.clone();
        }
        json!({ "error": error })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body().to_string()));
        // A script may contain a number that is no status.
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == 429 {
            headers.insert("x-ratelimit-limit", HeaderValue::from_static("20"));
            headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
            // Milliseconds since 1970.
            let reset = clock::now().as_millisecond() + 2_000;
            headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
        }
        if matches!(self.status, 429 | 503) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// Returns the usual error response, with the script's body and headers.
pub(crate) fn scripted(script: &Status, model: &str) -> Response {
    let mut response = ApiError::usual(script.status, model).into_response();
    if let Some(body) = &script.body {
        *response.body_mut() = Body::from(body.clone());
    }
    for (name, value) in &script.headers {
        // Skip an invalid header: a mistake in a script must not end the fake.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
