//! A plain HTTP client that exposes each HTTP chunk, and how a response ended.

use bytes::Bytes;
use fake_openrouter::FakeOpenRouter;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(crate) const KEY: &str =
    "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";

/// A response that is still being received. Dropping it closes the connection.
pub(crate) struct Open {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _connection: JoinSet<()>,
}

/// A response that has ended, completely or not.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the terminating chunk arrived.
    pub(crate) complete: bool,
}

pub(crate) async fn send(fake: &FakeOpenRouter, request: Request<Full<Bytes>>) -> Open {
    let socket = TcpStream::connect(fake.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async { connection.await.unwrap_or_default() });
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Open { status: head.status, headers: head.headers, body, _connection: tasks }
}

pub(crate) fn post(fake: &FakeOpenRouter, key: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("{}/chat/completions", fake.base_url()))
        .header("host", "fake")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn question(model: &str, text: &str) -> Value {
    json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": text }] })
}

/// Sends a body and receives the answer to its end.
pub(crate) async fn complete(fake: &FakeOpenRouter, body: &Value) -> Answer {
    send(fake, post(fake, KEY, &body.to_string())).await.rest().await
}

/// Asks for a stream and receives it to its end.
pub(crate) async fn ask(fake: &FakeOpenRouter, model: &str, text: &str) -> Answer {
    complete(fake, &question(model, text)).await
}

/// Asks for a stream and returns it unread.
pub(crate) async fn open(fake: &FakeOpenRouter, model: &str, text: &str) -> Open {
    send(fake, post(fake, KEY, &question(model, text).to_string())).await
}

/// `GET` below the base URL, with or without a key.
pub(crate) async fn get(fake: &FakeOpenRouter, path: &str, key: Option<&str>) -> Answer {
    let request = Request::get(format!("{}{path}", fake.base_url())).header("host", "fake");
    let request = match key {
        Some(key) => request.header("authorization", format!("Bearer {key}")),
        None => request,
    };
    send(fake, request.body(Full::default()).unwrap()).await.rest().await
}

impl Open {
    /// The next chunk; `None` at the proper end, an error if the connection ended before it.
    pub(crate) async fn next(&mut self) -> Option<hyper::Result<Bytes>> {
        let frame = self.body.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    pub(crate) async fn rest(mut self) -> Answer {
        let (mut body, mut complete) = (Vec::new(), true);
        while let Some(chunk) = self.next().await {
            let Ok(chunk) = chunk else {
                complete = false;
                break;
            };
            body.extend_from_slice(&chunk);
        }
        Answer { status: self.status, headers: self.headers, body, complete }
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Non-empty lines, comments among them.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The parsed chunks of the completion.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.lines();
        let data = lines.iter().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// The non-empty texts of the deltas.
    pub(crate) fn deltas(&self) -> Vec<String> {
        self.delta_field("content")
    }

    pub(crate) fn delta_field(&self, field: &str) -> Vec<String> {
        let events = self.events();
        let texts = events.iter().filter_map(|e| e["choices"][0]["delta"][field].as_str());
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    pub(crate) fn finish_reason(&self) -> Option<String> {
        let events = self.events();
        events
            .iter()
            .find_map(|event| Some(event["choices"][0]["finish_reason"].as_str()?.to_owned()))
    }

    pub(crate) fn usage(&self) -> Value {
        self.events().into_iter().find(|event| event["usage"].is_object()).unwrap()["usage"].take()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.complete && self.lines().last().is_some_and(|line| line == "data: [DONE]")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}
