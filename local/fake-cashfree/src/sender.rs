//! Sends webhooks: first attempts, copies and retries.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::memory::Memory;
use crate::webhook::Delivery;

/// How long a receiver may take (*).
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type Client = legacy::Client<HttpConnector, Body>;
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A client that opens a connection for each webhook: a kept one may belong to a receiver that has since been
/// restarted.
pub(crate) fn client() -> Client {
    legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
}

/// Runs jobs for ever. Dropping the future ends them all.
pub(crate) async fn work(mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            Some(job) = jobs.recv() => {
                running.spawn(job);
            }
            Some(_) = running.join_next() => {}
            else => return,
        }
    }
}

/// Sends first attempts, one after the other, and leaves retries to jobs of their own.
pub(crate) async fn send(memory: Arc<Memory>, deliveries: Vec<usize>) {
    let sending = memory.state().sending.clone();
    for index in deliveries {
        sleep(sending.delay).await;
        let mut is_accepted = true;
        for _ in 0..sending.copies {
            is_accepted = post(&memory, index).await == Some(200);
        }
        if !is_accepted {
            memory.spawn(retry(Arc::clone(&memory), index, sending.retry_delays.clone()));
        }
    }
}

async fn retry(memory: Arc<Memory>, index: usize, delays: Vec<Duration>) {
    for (attempt, delay) in (2u32..).zip(delays) {
        sleep(delay).await;
        let now = memory.now();
        {
            let mut state = memory.state();
            let is_resigned = state.sending.resign_retries;
            let secret = state.webhook_secret().to_owned();
            let delivery = &mut state.deliveries[index];
            delivery.set_header("x-webhook-attempt", attempt.to_string());
            if is_resigned {
                delivery.resign(&secret, now);
            }
        }
        if post(&memory, index).await == Some(200) {
            return;
        }
    }
}

/// Sends a delivery as it is, and returns the status of the answer, which it also records.
pub(crate) async fn post(memory: &Memory, index: usize) -> Option<u16> {
    let (target, delivery) = {
        let state = memory.state();
        let delivery = state.deliveries.get(index)?.clone();
        (state.sending.target.clone().or_else(|| delivery.notify_url.clone()), delivery)
    };
    let request = request(&target?, &delivery);
    let answering = timeout(PATIENCE, memory.http.request(request?));
    let status = answering.await.ok().and_then(Result::ok).map(|answer| answer.status().as_u16());
    memory.state().deliveries[index].answers.push(status);
    memory.sends.send_modify(|sends| *sends += 1);
    status
}

/// `None` for a URL that is none.
fn request(target: &str, delivery: &Delivery) -> Option<Request<Body>> {
    let headers = delivery.headers.iter();
    let request =
        headers.fold(Request::post(target), |request, (name, value)| request.header(*name, value));
    request.body(Body::from(delivery.body.clone())).ok()
}
