//! A plain HTTP client with a connection for each request, and a clock that a test moves.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fake_cashfree::{FakeCashfree, Options};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Timestamp>>);

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

/// Options with a clock of their own.
pub(crate) fn options() -> (Options, Clock) {
    let clock = Clock(Arc::new(Mutex::new("2026-11-22T19:00:00Z".parse().unwrap())));
    let moved = clock.clone();
    (Options { clock: Arc::new(move || moved.now()), ..Options::default() }, clock)
}

/// A server that makes webhooks and sends none, and its clock.
pub(crate) async fn held() -> (FakeCashfree, Clock) {
    let (mut options, clock) = options();
    options.sending.hold = true;
    (FakeCashfree::start_with(options).await.unwrap(), clock)
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// Sends a request; `None` if the connection was closed without an answer.
pub(crate) async fn send(fake: &FakeCashfree, request: Builder, body: &str) -> Option<Answer> {
    let body = Full::<Bytes>::from(body.to_owned());
    let request = request.header("host", "fake").body(body).unwrap();
    let socket = TcpStream::connect(fake.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async { connection.await.unwrap_or_default() });
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Some(Answer { status: head.status, headers: head.headers, text })
}

/// An authenticated API request.
pub(crate) fn api(fake: &FakeCashfree, method: &str, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(format!("{}{path}", fake.base_url()))
        .header("x-client-id", fake.client_id())
        .header("x-client-secret", fake.client_secret())
        .header("x-api-version", "2025-01-01")
        .header("content-type", "application/json")
}

pub(crate) fn order(id: &str) -> Value {
    json!({
        "order_id": id,
        "order_amount": 450,
        "order_currency": "INR",
        "customer_details": { "customer_id": "usr_8f2c", "customer_phone": "9908734801" },
        "order_meta": { "return_url": "https://app.example/return?order={order_id}" },
        "order_expiry_time": "2026-11-22T19:30:00Z",
        "order_tags": { "plan": "premium" },
    })
}

/// Creates an order and returns the answer, whatever it is.
pub(crate) async fn create(fake: &FakeCashfree, body: &Value) -> Answer {
    send(fake, api(fake, "POST", "/orders"), &body.to_string()).await.unwrap()
}

/// Creates an order that can be paid, and returns its session.
pub(crate) async fn created(fake: &FakeCashfree, id: &str) -> String {
    let answer = create(fake, &order(id)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["payment_session_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn get(fake: &FakeCashfree, path: &str) -> Answer {
    send(fake, api(fake, "GET", path), "").await.unwrap()
}

pub(crate) async fn terminate(fake: &FakeCashfree, id: &str) -> Answer {
    let request = api(fake, "PATCH", &format!("/orders/{id}"));
    send(fake, request, r#"{"order_status":"TERMINATED"}"#).await.unwrap()
}
