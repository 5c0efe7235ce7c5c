//! Responses of the API, and its errors: `{"message","help","code","type"}`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

/// A JSON response of the API. It can be stored, to be replayed for an idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body::from(self.body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// An error, before it becomes an [`Answer`].
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    error_type: &'static str,
}

impl ApiError {
    /// An `invalid_request_error`.
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { status, code, message, error_type: "invalid_request_error" }
    }

    pub(crate) fn bad_request(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn missing(field: &str) -> Self {
        let message = format!("{field} : is missing in the request. Value received: ");
        Self::bad_request(format!("{field}_missing"), message)
    }

    /// Repeats the value, as Cashfree does: a client that logs messages logs what it sent.
    pub(crate) fn invalid(field: &str, value: &str) -> Self {
        let message = format!("{field} : invalid value provided. Value received: {value}");
        Self::bad_request(format!("{field}_invalid"), message)
    }

    pub(crate) fn unauthenticated() -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "request_failed", "authentication Failed");
        Self { error_type: "authentication_error", ..error }
    }

    pub(crate) fn rate_limited() -> Self {
        let message = "Too many requests from IP. Check headers";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "request_failed", message);
        Self { error_type: "rate_limit_error", ..error }
    }

    pub(crate) fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let error = Self::new(status, "internal_error", "internal Server Error");
        Self { error_type: "api_error", ..error }
    }

    pub(crate) fn other_body_for_the_key() -> Self {
        let message = "idempotency key was used with a different request body";
        let error = Self::bad_request("idempotency_key_mismatch", message);
        Self { error_type: "idempotency_error", ..error }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let mut body =
            json!({ "message": error.message, "code": error.code, "type": error.error_type });
        if !matches!(error.error_type, "authentication_error" | "rate_limit_error") {
            body["help"] = "Check latest errors and resolution from Merchant Dashboard".into();
        }
        Self { status: error.status, headers: Vec::new(), body: body.to_string() }
    }
}
