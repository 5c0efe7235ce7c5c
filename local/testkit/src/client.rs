//! A client that calls an app's router directly, as `lambda_http` does.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// One chunk of a UI message stream.
pub type UiChunk = Value;

/// Sends requests to one app, with or without a session.
#[derive(Clone)]
pub struct Client {
    app: Router,
    headers: HeaderMap,
    source: Option<IpAddr>,
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: String,
}

impl Client {
    /// A client without a session.
    pub fn new(app: Router) -> Self {
        Self { app, headers: HeaderMap::new(), source: None }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// Sends from another IP address.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        self.source = Some(source.parse().unwrap());
        self
    }

    /// Adds a session's cookie.
    #[must_use]
    pub fn signed_in(self, cookie: &str) -> Self {
        self.with("cookie", cookie)
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, Body::empty())).await
    }

    /// `POST path` with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body.to_string()).await
    }

    /// `PATCH path` with JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json("PATCH", path, body.to_string()).await
    }

    /// Any method with any text as the body, declared as JSON.
    pub async fn json(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.send(self.with_json(method, path, body)).await
    }

    /// Builds the same request without sending it.
    pub fn with_json(&self, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        let mut request = self.request(method, path, body.into());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        request
    }

    /// Builds a request with this client's headers.
    pub fn request(&self, method: &str, path: &str, body: Body) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        request.headers_mut().extend(self.headers.clone());
        if let Some(source) = self.source {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(source, 1)));
        }
        request
    }

    /// Sends a request and reads the response to its end.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request and returns the response with its body unread.
    pub async fn open(&self, request: Request<Body>) -> http::Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }
}

impl Answer {
    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of the error body.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The status and error code, for one-line assertions.
    pub fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }

    /// A header as text, if present.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The chunks of the stream; fails if it does not end with `[DONE]`.
    pub fn chunks(&self) -> Vec<UiChunk> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let data: Vec<&str> =
            self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (last, chunks) = data.split_last().expect("a stream");
        assert_eq!(*last, "[DONE]");
        chunks.iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect()
    }

    /// The text of the answer: all text deltas joined.
    pub fn text(&self) -> String {
        let chunks = self.chunks();
        let deltas = chunks.iter().filter(|chunk| chunk["type"] == "text-delta");
        deltas.filter_map(|chunk| chunk["delta"].as_str()).collect()
    }

    /// The error that ended the stream, as an error body.
    pub fn stream_error(&self) -> Value {
        let chunks = self.chunks();
        let last = chunks.last().expect("a chunk");
        assert_eq!(last["type"], "error", "{last}");
        serde_json::from_str(last["errorText"].as_str().unwrap()).expect("an error body")
    }
}
