//! An HTTP server that gives scripted answers, in order, and keeps the requests.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time;

/// What the server does with a request.
pub(crate) enum Answer {
    /// This status, with these headers and body.
    Is(u16, Vec<(&'static str, &'static str)>, String),
    /// None before `patience` is over; the clock leaps over most of it.
    Silence { patience: Duration },
}

/// A request that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    received: Vec<Received>,
}

type SharedScript = Arc<Mutex<Script>>;

/// The server. Dropped, it stops.
pub(crate) struct Server {
    pub(crate) base_url: String,
    script: SharedScript,
    _serving: JoinSet<()>,
}

/// An answer without headers of interest.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer::Is(status, Vec::new(), body.into())
}

/// Cashfree's error response.
pub(crate) fn refusal(status: u16, code: &str, kind: &str) -> Answer {
    answer(status, error_body(code, kind))
}

pub(crate) fn error_body(code: &str, kind: &str) -> String {
    format!(
        r#"{{"message":"9908734801 is wrong","help":"c0ffee","code":"{code}","type":"{kind}"}}"#
    )
}

impl Server {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = SharedScript::default();
        script.lock().unwrap().answers.extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/pg", listener.local_addr().unwrap());
        let app = Router::new().fallback(respond).with_state(Arc::clone(&script));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base_url, script, _serving: serving }
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.script.lock().unwrap().received.clone()
    }

    /// Their methods and paths.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.received().into_iter().map(|request| request.line).collect()
    }

    pub(crate) fn will(&self, answer: Answer) {
        self.script.lock().unwrap().answers.push_back(answer);
    }
}

async fn respond(
    State(script): State<SharedScript>,
    request: Request,
) -> Response<axum::body::Body> {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let line = format!("{} {}", parts.method, parts.uri.path());
    let body = String::from_utf8(body.to_vec()).unwrap();
    let next = {
        let mut script = script.lock().unwrap();
        script.received.push(Received { line, headers: parts.headers, body });
        script.answers.pop_front()
    };
    match next {
        Some(Answer::Is(status, headers, body)) => {
            let mut response = Response::new(body.into());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Answer::Silence { patience }) => {
            leap_over(patience).await;
            pending().await
        }
        None => panic!("a request that the test does not expect"),
    }
}

/// Lets most of `patience` pass at once. The clock runs again before the client gives up, so that what it does next is
/// not hurried.
async fn leap_over(patience: Duration) {
    time::pause();
    time::sleep(patience.saturating_sub(Duration::from_millis(200))).await;
    time::resume();
}
