//! A receiver of webhooks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A webhook as received.
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

#[derive(Default)]
struct Seen {
    statuses: VecDeque<u16>,
    webhooks: Vec<Received>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Answers the first webhooks with `statuses`, and all others with 200.
    pub(crate) async fn answering(statuses: impl Into<VecDeque<u16>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen { statuses: statuses.into(), webhooks: Vec::new() }));
        let app = Router::new().fallback(receive).with_state(Arc::clone(&seen));
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, seen, _server: server }
    }

    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.seen.lock().unwrap().webhooks)
    }
}

async fn receive(
    State(seen): State<Arc<Mutex<Seen>>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let mut seen = seen.lock().unwrap();
    seen.webhooks.push(Received { headers, body });
    let status = seen.statuses.pop_front().unwrap_or(200);
    (StatusCode::from_u16(status).unwrap(), [(LOCATION, "/elsewhere")])
}
