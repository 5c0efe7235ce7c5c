//! JSON bodies of requests and responses, with errors that name the problem.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{ApiError, ErrorCode};

/// A JSON body. As an extractor it requires `content-type: application/json`, which no form of
/// another site can send without a CORS preflight.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// An optional JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Empty<T>(pub Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = read(request, state).await?;
        if is_json { parse(&body).map(Self) } else { Err(not_json()) }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Empty<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = read(request, state).await?;
        match (body.is_empty(), is_json) {
            (true, _) => Ok(Self(None)),
            (false, true) => parse(&body).map(|body| Self(Some(body))),
            (false, false) => Err(not_json()),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let read = Bytes::from_request(request, state).await;
    read.map_err(|rejection| unread_body(&rejection, ErrorCode::MalformedJson))
}

/// A body that was not read: it is too large, or broke off, which has the code `broken`.
pub fn unread_body(rejection: &BytesRejection, broken: ErrorCode) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::new(ErrorCode::BodyTooLarge, "the body is too large for this route")
    } else {
        ApiError::new(broken, "the body could not be read to its end")
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // serde would accept an array as an object's fields in order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "the body has to be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        // serde_json reports some wrong values, such as a number for an enum, as syntax errors.
        let is_json = error.is_data() || serde_json::from_slice::<IgnoredAny>(body).is_ok();
        let code = if is_json { ErrorCode::InvalidRequest } else { ErrorCode::MalformedJson };
        ApiError::new(code, error)
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn not_json() -> ApiError {
    ApiError::new(ErrorCode::UnsupportedMediaType, "send JSON, with content-type: application/json")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(rename = "word")]
        _word: Word,
    }

    #[derive(Debug, Deserialize)]
    enum Word {
        #[serde(rename = "one")]
        One,
    }

    #[test]
    fn a_wrong_value_is_distinguished_from_malformed_json() {
        let code = |body: &str| parse::<Body>(body.as_bytes()).unwrap_err().code();
        for body in [r#"{"word":"two"}"#, r#"{"word":1}"#, r#"{"word":null}"#, "{}", "[]", "7"] {
            assert_eq!(code(body), ErrorCode::InvalidRequest, "{body}");
        }
        for body in ["", "{", r#"{"word":"one"} {}"#, r#"{"word":}"#, "word=one"] {
            assert_eq!(code(body), ErrorCode::MalformedJson, "{body}");
        }
    }
}
