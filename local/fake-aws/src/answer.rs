//! Responses in the two protocols: JSON 1.1 and Query, whose responses are XML.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// The protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Query,
}

/// An error, independent of the protocol. The protocols name the common ones differently.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    json_code: &'static str,
    query_code: &'static str,
    message: String,
}

impl Refusal {
    /// A service-specific error, which has only one name.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, json_code: code, query_code: code, message: message.into() }
    }

    pub(crate) fn unsigned() -> Self {
        Self {
            status: 403,
            json_code: "MissingAuthenticationTokenException",
            query_code: "MissingAuthenticationToken",
            message: "Request is missing Authentication Token".into(),
        }
    }

    pub(crate) fn signed_for(service: &str) -> Self {
        Self {
            status: 403,
            json_code: "InvalidSignatureException",
            query_code: "SignatureDoesNotMatch",
            message: format!("Credential should be scoped to correct service: '{service}'."),
        }
    }

    pub(crate) fn denied(operation: &str) -> Self {
        let user = format!("arn:aws:sts::{}:assumed-role/test/test", crate::ACCOUNT);
        Self {
            status: 400,
            json_code: "AccessDeniedException",
            query_code: "AccessDenied",
            message: format!(
                "User: {user} is not authorized to perform: {operation} because no identity-based policy allows the action"
            ),
        }
    }

    pub(crate) fn throttled() -> Self {
        Self {
            status: 400,
            json_code: "ThrottlingException",
            query_code: "Throttling",
            message: "Rate exceeded".into(),
        }
    }

    pub(crate) fn broken() -> Self {
        Self {
            status: 500,
            json_code: "InternalServiceError",
            query_code: "InternalFailure",
            message: "An error occurred on the server side.".into(),
        }
    }

    pub(crate) fn in_protocol(self, protocol: Protocol) -> Response {
        match protocol {
            Protocol::Json => {
                let body = json!({ "__type": self.json_code, "message": self.message });
                json_answer(self.status, &body)
            }
            Protocol::Query => {
                let kind = if self.status < 500 { "Sender" } else { "Receiver" };
                let (code, message) = (self.query_code, escaped(&self.message));
                xml_answer(
                    self.status,
                    format!(
                        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
                    ),
                )
            }
        }
    }
}

pub(crate) const NAMESPACE: &str = "http://elasticache.amazonaws.com/doc/2015-02-02/";
pub(crate) const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) fn json_answer(status: u16, body: &Value) -> Response {
    answer(status, "application/x-amz-json-1.1", body.to_string())
}

pub(crate) fn xml_answer(status: u16, body: String) -> Response {
    answer(status, "text/xml", body)
}

pub(crate) fn answer(status: u16, content_type: &'static str, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE.as_str(), content_type), ("x-amzn-requestid", REQUEST_ID)], body)
        .into_response()
}

/// Escapes `text` for XML content.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
