//! The server's state, under one lock: orders, webhooks, requests, and what a test has scripted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::errors::Answer;
use crate::operation::Call;
use crate::options::{Clock, Options, Sending};
use crate::order::Order;
use crate::orders_file;
use crate::sender::{self, Job};
use crate::trouble::Trouble;
use crate::webhook::Delivery;

/// Maximum number of requests that are kept: far more than a test reads, and little enough for `make dev`,
/// which may run for days.
const KEPT: usize = 10_000;

/// A request to the API as it arrived, refused or not.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Its kind.
    pub call: Call,
    /// Its method.
    pub method: String,
    /// Its path, which begins with `/pg/`.
    pub path: String,
    /// The order in its path or, of a request to create one, in its body.
    pub order_id: Option<String>,
    /// The header `x-api-version`.
    pub api_version: Option<String>,
    /// The header `x-idempotency-key`.
    pub idempotency_key: Option<String>,
    /// The header `x-request-id`.
    pub request_id: Option<String>,
    /// The body.
    pub body: Bytes,
}

pub(crate) struct Memory {
    clock: Clock,
    pub(crate) http: sender::Client,
    jobs: mpsc::UnboundedSender<Job>,
    /// Number of webhooks that were answered, or failed.
    pub(crate) sends: watch::Sender<usize>,
    state: Mutex<State>,
}

pub(crate) struct State {
    next_id: u64,
    pub(crate) client_secret: String,
    /// `None` is the client secret.
    pub(crate) webhook_secret: Option<String>,
    pub(crate) sending: Sending,
    pub(crate) orders: Vec<Order>,
    orders_file: Option<PathBuf>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Indices of deliveries that wait for their release.
    pub(crate) held: Vec<usize>,
    pub(crate) requests: VecDeque<RecordedRequest>,
    pub(crate) troubles: Vec<(Call, usize, Trouble)>,
    pub(crate) limits: BTreeMap<Call, Limit>,
    pub(crate) replies: HashMap<String, Reply>,
}

/// A limit of calls per minute, and the times of the calls within the last.
#[derive(Default)]
pub(crate) struct Limit {
    pub(crate) per_minute: usize,
    pub(crate) calls: VecDeque<Timestamp>,
}

/// The first answer to an idempotency key.
pub(crate) struct Reply {
    pub(crate) at: Timestamp,
    pub(crate) body: Bytes,
    pub(crate) answer: Answer,
}

impl Memory {
    pub(crate) fn new(options: Options, jobs: mpsc::UnboundedSender<Job>) -> io::Result<Self> {
        let orders = options.orders_file.as_deref().map(orders_file::read).transpose()?;
        Ok(Self {
            clock: options.clock,
            http: sender::client(),
            jobs,
            sends: watch::Sender::default(),
            state: Mutex::new(State {
                next_id: options.first_id,
                client_secret: crate::CLIENT_SECRET.to_owned(),
                webhook_secret: None,
                sending: options.sending,
                orders: orders.unwrap_or_default(),
                orders_file: options.orders_file,
                deliveries: Vec::new(),
                held: Vec::new(),
                requests: VecDeque::new(),
                troubles: Vec::new(),
                limits: BTreeMap::new(),
                replies: HashMap::new(),
            }),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Runs a job until the server stops.
    pub(crate) fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        // Fails only when the server has stopped.
        let _ = self.jobs.send(Box::pin(job));
    }

    /// Ignores poisoning: no panic can leave the state half updated.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn order_mut(&mut self, id: &str) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id)
    }

    /// Keeps the orders, after each change of one.
    pub(crate) fn keep_orders(&self) {
        if let Some(file) = &self.orders_file {
            // Without the file, the next run begins without orders.
            let _ = orders_file::write(file, &self.orders);
        }
    }

    pub(crate) fn webhook_secret(&self) -> &str {
        self.webhook_secret.as_ref().unwrap_or(&self.client_secret)
    }

    pub(crate) fn record(&mut self, request: RecordedRequest) {
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// Takes the next scripted trouble of this kind of call.
    pub(crate) fn next_trouble(&mut self, call: Call) -> Option<Trouble> {
        let (_, left, trouble) =
            self.troubles.iter_mut().find(|(of, left, _)| *of == call && *left > 0)?;
        *left -= 1;
        Some(*trouble)
    }
}
