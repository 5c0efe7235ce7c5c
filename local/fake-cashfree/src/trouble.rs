//! Scripted failures of API calls.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;

/// When a [`Trouble`] strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the operation: it does not happen.
    Before,
    /// After it: it has happened, and only the answer is lost. An order exists, for example.
    After,
}

/// A scripted failure of one API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is closed without an answer.
    Closed(When),
    /// No answer, until the client disconnects.
    Hang(When),
    /// 500 from Cashfree itself. A later call with the same idempotency key is answered by it, too.
    InternalError(When),
    /// 502 with an HTML page, from a proxy in front of Cashfree.
    BadGateway(When),
    /// The status of the operation, with a body that breaks off in the middle of its JSON.
    MalformedJson,
    /// An empty list: Cashfree calls an order paid, and does not list its payments yet.
    NoPayments,
    /// 429 `rate_limit_error`, to be retried in 7 seconds.
    RateLimited,
    /// 400 that refuses the phone number of an order, although it is well-formed. A later call with the same
    /// idempotency key is answered by it, too.
    PhoneRefused,
}

/// Marks a response that is not sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost;

pub(crate) fn lost() -> Response {
    axum::Extension(Lost).into_response()
}

pub(crate) fn bad_gateway() -> Response {
    let page = "<html><head><title>502 Bad Gateway</title></head><body></body></html>";
    (StatusCode::BAD_GATEWAY, Html(page)).into_response()
}
