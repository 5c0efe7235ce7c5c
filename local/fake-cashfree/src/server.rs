//! The API's way of a request: recorded, perhaps troubled, authenticated, limited, deduplicated, answered.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extracted;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};

use crate::errors::{Answer, ApiError};
use crate::memory::{Memory, RecordedRequest, Reply, State};
use crate::operation::{Call, Operation};
use crate::trouble::{self, Trouble, When};
use crate::{CLIENT_ID, checkout, create};

/// Versions of the API that are accepted; each is answered in the form of 2025-01-01.
const API_VERSIONS: [&str; 6] =
    ["2021-05-21", "2022-01-01", "2022-09-01", "2023-08-01", "2025-01-01", "2026-01-01"];
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// How long an idempotency key is remembered.
const KEY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

pub(crate) fn router(memory: Arc<Memory>) -> Router {
    Router::new()
        .route("/pg/{*path}", any(serve))
        .route("/local/checkout/{session}", get(checkout::page))
        .route("/local/checkout/{session}/{button}", post(checkout::press))
        .route("/local/orders/{id}/resend-webhook", post(checkout::resend))
        .with_state(memory)
}

async fn serve(
    Extracted(memory): Extracted<Arc<Memory>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(operation) = Operation::of(&method, uri.path()) else {
        let error =
            ApiError::bad_request("request_failed", "bad URL, please check API documentation");
        return Answer::from(error).into_response();
    };
    let trouble = {
        let mut state = memory.state();
        state.record(RecordedRequest {
            call: operation.call,
            method: method.to_string(),
            path: uri.path().to_owned(),
            order_id: operation.order_id(&body),
            api_version: header(&headers, "x-api-version").map(str::to_owned),
            idempotency_key: header(&headers, "x-idempotency-key").map(str::to_owned),
            request_id: header(&headers, "x-request-id").map(str::to_owned),
            body: body.clone(),
        });
        state.next_trouble(operation.call)
    };
    match trouble {
        Some(Trouble::Closed(When::Before)) => return trouble::lost(),
        Some(Trouble::Hang(When::Before)) => std::future::pending().await,
        Some(Trouble::BadGateway(When::Before)) => return trouble::bad_gateway(),
        Some(Trouble::RateLimited) => return rate_limited(0, 7).into_response(),
        _ => {}
    }
    let mut answer = memory.state().answer(operation, &headers, body, trouble, memory.now());
    match trouble {
        Some(Trouble::Closed(_)) => trouble::lost(),
        Some(Trouble::Hang(_)) => std::future::pending().await,
        Some(Trouble::BadGateway(_)) => trouble::bad_gateway(),
        Some(Trouble::NoPayments) => {
            "[]".clone_into(&mut answer.body);
            answer.into_response()
        }
        Some(Trouble::MalformedJson) => {
            let half = answer.body.chars().count() / 2;
            answer.body = answer.body.chars().take(half).collect();
            answer.into_response()
        }
        _ => answer.into_response(),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn rate_limited(limit: usize, retry: i64) -> Answer {
    let mut answer = Answer::from(ApiError::rate_limited());
    answer.headers = limit_headers(limit, 0, retry);
    answer
}

fn limit_headers(limit: usize, remaining: usize, retry: i64) -> Vec<(&'static str, String)> {
    vec![
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-retry", retry.to_string()),
        ("x-ratelimit-type", "app_id".to_owned()),
    ]
}

impl State {
    fn answer(
        &mut self,
        operation: Operation<'_>,
        headers: &HeaderMap,
        body: Bytes,
        trouble: Option<Trouble>,
        now: Timestamp,
    ) -> Answer {
        if let Err(error) = self.authenticate(headers) {
            return error.into();
        }
        let limits = match self.count(operation.call, now) {
            Ok(limits) => limits,
            Err(answer) => return answer,
        };
        let key =
            header(headers, "x-idempotency-key").filter(|_| operation.call == Call::CreateOrder);
        let mut answer = match key {
            Some(key) => self.answer_once(key, operation, body, trouble, now),
            None => self.answer_always(operation, &body, trouble, now),
        };
        answer.headers.extend(limits);
        answer
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let is_known = header(headers, "x-client-id") == Some(CLIENT_ID)
            && header(headers, "x-client-secret") == Some(&*self.client_secret);
        if !is_known {
            return Err(ApiError::unauthenticated());
        }
        let version = header(headers, "x-api-version").unwrap_or_default();
        if API_VERSIONS.contains(&version) {
            return Ok(());
        }
        // (*)
        Err(ApiError::bad_request("request_failed", "version missing or invalid in x-api-version"))
    }

    /// Counts a call in its sliding minute, and returns the headers that say how many are left.
    fn count(&mut self, call: Call, now: Timestamp) -> Result<Vec<(&'static str, String)>, Answer> {
        let Some(limit) = self.limits.get_mut(&call) else { return Ok(Vec::new()) };
        limit.calls.retain(|&at| now.duration_since(at) < MINUTE);
        if limit.calls.len() >= limit.per_minute {
            let oldest = limit.calls.front().copied().unwrap_or(now);
            let wait = MINUTE.saturating_sub(now.duration_since(oldest));
            let retry = wait.as_secs() + i64::from(wait.subsec_nanos() > 0);
            return Err(rate_limited(limit.per_minute, retry.clamp(1, 59)));
        }
        limit.calls.push_back(now);
        Ok(limit_headers(limit.per_minute, limit.per_minute - limit.calls.len(), 0))
    }

    /// Replays the first answer to `key`, also if it was an error of Cashfree's own.
    fn answer_once(
        &mut self,
        key: &str,
        operation: Operation<'_>,
        body: Bytes,
        trouble: Option<Trouble>,
        now: Timestamp,
    ) -> Answer {
        let earlier = self.replies.get(key);
        let earlier = earlier.filter(|reply| now.duration_since(reply.at) < KEY_LIFETIME);
        let is_replayed = earlier.is_some();
        let mut answer = match earlier {
            Some(reply) if reply.body == body => reply.answer.clone(),
            Some(_) => return ApiError::other_body_for_the_key().into(),
            None => {
                let answer = self.answer_always(operation, &body, trouble, now);
                let reply = Reply { at: now, body, answer: answer.clone() };
                self.replies.insert(key.to_owned(), reply);
                answer
            }
        };
        answer.headers.push(("x-idempotency-key", key.to_owned()));
        answer.headers.push(("x-idempotency-replayed", is_replayed.to_string()));
        answer
    }

    fn answer_always(
        &mut self,
        operation: Operation<'_>,
        body: &[u8],
        trouble: Option<Trouble>,
        now: Timestamp,
    ) -> Answer {
        if trouble == Some(Trouble::InternalError(When::Before)) {
            return ApiError::internal().into();
        }
        if trouble == Some(Trouble::PhoneRefused) {
            return create::phone_refused(body).into();
        }
        let changes_orders = matches!(operation.call, Call::CreateOrder | Call::TerminateOrder);
        let result = operation.run(self, body, now);
        if changes_orders {
            self.keep_orders();
        }
        if trouble == Some(Trouble::InternalError(When::After)) {
            return ApiError::internal().into();
        }
        match result {
            Ok(body) => Answer { status: StatusCode::OK, headers: Vec::new(), body },
            Err(error) => error.into(),
        }
    }
}
