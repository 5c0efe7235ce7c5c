//! Reading a stream as it comes.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use testkit::Client;

/// A response that is being read.
pub(crate) struct Reading {
    pub(crate) status: StatusCode,
    body: Body,
    /// The body so far.
    pub(crate) result: String,
}

impl Reading {
    pub(crate) async fn of(client: &Client, request: Request<Body>) -> Self {
        let response = client.open(request).await;
        Self { status: response.status(), body: response.into_body(), result: String::new() }
    }

    pub(crate) async fn question(client: &Client, body: &serde_json::Value) -> Self {
        Self::of(client, client.with_json("POST", "/api/chat", body.to_string())).await
    }

    pub(crate) async fn get(client: &Client, path: &str) -> Self {
        Self::of(client, client.request("GET", path, Body::empty())).await
    }

    /// Reads until `what` has come.
    pub(crate) async fn until(&mut self, what: &str) {
        while !self.result.contains(what) {
            assert!(self.more().await, "{what} does not come: {}", self.result);
        }
    }

    /// Reads one chunk; returns whether there was one.
    pub(crate) async fn more(&mut self) -> bool {
        let Some(frame) = self.body.frame().await else { return false };
        self.result += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        true
    }

    /// Reads to the end; returns the whole body.
    pub(crate) async fn rest(mut self) -> String {
        while self.more().await {}
        self.result
    }
}

/// Frames without the comments that keep a quiet stream open.
pub(crate) fn frames(stream: &str) -> String {
    stream.replace(": still here\n\n", "")
}

/// The text of a stream, complete or not.
pub(crate) fn text_of(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    let deltas = chunks.filter(|chunk| chunk["type"] == "text-delta");
    deltas.map(|chunk| chunk["delta"].as_str().unwrap().to_owned()).collect()
}
