//! A fake of Cashfree's payment gateway, for tests and `make dev`. It is a real server on a loopback port, and
//! sends real webhooks, so that lost answers, retries and signatures are real too.
//!
//! | route | what it does |
//! | --- | --- |
//! | `POST /pg/orders` | creates an order: every documented limit is checked, `x-idempotency-key` replays |
//! | `GET /pg/orders/{id}` | the order |
//! | `PATCH /pg/orders/{id}` | terminates an active order; while an attempt is in progress, `TERMINATION_REQUESTED` |
//! | `GET /pg/orders/{id}/payments`, `…/{cf_payment_id}` | its payments, newest first (*); one of them |
//! | `GET /local/checkout/{payment_session_id}` | a checkout page, whose buttons pay, fail, leave, pay late and pay twice |
//! | `POST /local/orders/{id}/resend-webhook` | sends the order's last webhook again, with its old timestamp |
//!
//! An order is paid by the checkout page or by [`FakeCashfree::pay`]. What can happen to it:
//!
//! | event | state | webhook |
//! | --- | --- | --- |
//! | success | `PAID`, also after `EXPIRED`, `TERMINATED` or `TERMINATION_REQUESTED` if the attempt began before | `PAYMENT_SUCCESS_WEBHOOK` |
//! | a second success | `PAID` | the same, then `AUTO_REFUND_STATUS_WEBHOOK` |
//! | failure, or the customer leaves | as before | `PAYMENT_FAILED_WEBHOOK`, `PAYMENT_USER_DROPPED_WEBHOOK` |
//! | pending | as before | none (*), or with late authorisation `PAYMENT_SUCCESS_WEBHOOK` that says `PENDING` |
//! | `order_expiry_time` by the [clock](Options::clock) | `EXPIRED` | none |
//!
//! A webhook is retried until it is answered by 200: any other status is a failure, a redirect too. How and
//! when it is sent is in [`Sending`]; what was made is in [`FakeCashfree::deliveries`], so that a test can hold
//! all back and send them itself, in any order and any number. Failures of the API are scripted with
//! [`FakeCashfree::fail_next`], rate limits with [`FakeCashfree::limit`].
//!
//! Amounts are kept exactly. The API writes them without needless zeros (`450`), webhooks of successes with two
//! decimals (`450.00`), as in the documented samples. All payments are by UPI.
//!
//! One deviation serves local use: `notify_url` may be `http` to a loopback host.
//!
//! (*) marks a guess. Also guessed are: codes of errors beyond `order_amount_invalid`, `…_missing`,
//! `order_expiry_time_invalid`, `order_already_exists`, `order_not_found` and `request_failed`; that an
//! amount as text is refused; that a paid or expired order cannot be terminated (400); that `order_expiry_time` is 30 days from now by default; that
//! answers with 4xx are replayed, too; that a retry of a webhook has the first attempt's timestamp and
//! signature (see [`Sending::resign_retries`]). Cashfree documents two answers to an idempotency key that
//! comes with another body, 400 `idempotency_key_mismatch` and 422 `request_invalid`; the fake has the first.

mod amount;
mod attempt;
mod checkout;
mod clock;
mod connection;
mod create;
mod entities;
mod errors;
mod memory;
mod operation;
mod options;
mod order;
mod orders_file;
mod payments;
mod sender;
mod server;
mod trouble;
mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use crate::attempt::{Attempt, PayError};
pub use crate::memory::RecordedRequest;
use crate::memory::{Limit, Memory, State};
pub use crate::operation::Call;
pub use crate::options::{Clock, Options, Sending, WebhookVersion};
use crate::order::Order;
pub use crate::order::{OrderStatus, PaymentStatus};
pub use crate::trouble::{Trouble, When};
pub use crate::webhook::{Delivery, sign};

const CLIENT_ID: &str = "TEST_fake_client";
const CLIENT_SECRET: &str = "cfsk_fake_client_secret";

/// A running server. It stops, and its connections and webhooks end, when this is dropped.
pub struct FakeCashfree {
    address: SocketAddr,
    memory: Arc<Memory>,
    /// The accept loop, and the jobs that send webhooks.
    tasks: JoinSet<()>,
}

/// An order as Cashfree knows it.
#[derive(Debug, Clone)]
pub struct OrderRecord {
    /// `order_id`.
    pub id: String,
    /// Its state now.
    pub status: OrderStatus,
    /// Its amount in paise.
    pub amount_paise: u64,
    /// `payment_session_id`.
    pub session: String,
    /// `customer_phone` as received.
    pub customer_phone: String,
    /// Number of requests to create this order, including refused and lost ones.
    pub create_calls: usize,
    /// Its payments, oldest first.
    pub payments: Vec<PaymentRecord>,
}

/// A payment as Cashfree knows it.
#[derive(Debug, Clone)]
pub struct PaymentRecord {
    /// `cf_payment_id`.
    pub id: String,
    /// Its state now.
    pub status: PaymentStatus,
    /// Whether it was a second success.
    pub is_refunded: bool,
}

impl FakeCashfree {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts on `address`.
    pub async fn start_on(address: SocketAddr) -> io::Result<Self> {
        Self::start_with(Options { address, ..Options::default() }).await
    }

    /// Starts with these options.
    pub async fn start_with(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let (sender, jobs) = mpsc::unbounded_channel();
        let memory = Arc::new(Memory::new(options, sender)?);
        let mut tasks = JoinSet::new();
        tasks.spawn(connection::serve(listener, server::router(Arc::clone(&memory))));
        tasks.spawn(sender::work(jobs));
        Ok(Self { address, memory, tasks })
    }

    /// Stops listening, and ends all connections and webhooks, as an outage does.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    /// The base URL in place of `https://api.cashfree.com/pg`: `http://127.0.0.1:PORT/pg`.
    pub fn base_url(&self) -> String {
        format!("http://{}/pg", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The accepted `x-client-id`.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// The accepted `x-client-secret`, which also signs webhooks.
    pub fn client_secret(&self) -> String {
        self.memory.state().client_secret.clone()
    }

    /// Replaces the client secret, as a rotation does: the old one is refused from now on.
    pub fn set_client_secret(&self, secret: impl Into<String>) {
        self.memory.state().client_secret = secret.into();
    }

    /// Signs webhooks with this secret from now on, instead of the client secret (`None`).
    pub fn set_webhook_secret(&self, secret: Option<String>) {
        self.memory.state().webhook_secret = secret;
    }

    /// Changes how webhooks are made and sent.
    pub fn sending(&self, change: impl FnOnce(&mut Sending)) {
        change(&mut self.memory.state().sending);
    }

    /// Makes an attempt to pay an order, and returns the payment's `cf_payment_id`.
    pub fn pay(&self, order_id: &str, attempt: Attempt) -> Result<String, PayError> {
        self.memory.pay(order_id, attempt).map(|id| id.to_string())
    }

    /// Makes a pending payment succeed, whatever has become of its order.
    pub fn settle(&self, payment_id: &str) -> Result<(), PayError> {
        self.memory.settle(payment_id.parse().map_err(|_| PayError::NotPending)?)
    }

    /// Expires an order now, instead of at its `order_expiry_time`.
    pub fn expire(&self, order_id: &str) {
        let now = self.memory.now();
        if let Some(order) = self.memory.state().order_mut(order_id) {
            order.expire(now);
        }
    }

    /// All webhooks made so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.memory.state().deliveries.clone()
    }

    /// Those about an order, oldest first.
    pub fn deliveries_of(&self, order_id: &str) -> Vec<Delivery> {
        let state = self.memory.state();
        let of_order = state.deliveries.iter().filter(|delivery| delivery.order_id == order_id);
        of_order.cloned().collect()
    }

    /// Sends the webhooks that are [held](Sending::hold), in the order they were made.
    pub fn release(&self) {
        let held = std::mem::take(&mut self.memory.state().held);
        self.memory.spawn(sender::send(Arc::clone(&self.memory), held));
    }

    /// Sends the webhooks that are [held](Sending::hold), newest first.
    pub fn release_reversed(&self) {
        self.memory.state().held.reverse();
        self.release();
    }

    /// Sends delivery `n` once more, with its old timestamp and signature, and returns the status of the
    /// answer; `None` without an answer.
    pub async fn resend(&self, n: usize) -> Option<u16> {
        sender::post(&self.memory, n).await
    }

    /// Gives delivery `n` the timestamp of now, and a signature with the secret of now. Sends nothing.
    pub fn resign(&self, n: usize) {
        let now = self.memory.now();
        let mut state = self.memory.state();
        let secret = state.webhook_secret().to_owned();
        if let Some(delivery) = state.deliveries.get_mut(n) {
            delivery.resign(&secret, now);
        }
    }

    /// Waits until `count` webhooks were answered or have failed, counting each attempt.
    pub async fn wait_for_sends(&self, count: usize) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.memory.sends.subscribe().wait_for(|sends| *sends >= count).await;
    }

    /// Applies `trouble` to the next `calls` calls of this kind, after those of earlier scripts.
    pub fn fail_next(&self, call: Call, calls: usize, trouble: Trouble) {
        self.memory.state().troubles.push((call, calls, trouble));
    }

    /// Ends all troubles that are scripted.
    pub fn recover(&self) {
        self.memory.state().troubles.clear();
    }

    /// Limits this kind of call to so many a minute. Without this there is no limit.
    pub fn limit(&self, call: Call, per_minute: usize) {
        self.memory.state().limits.insert(call, Limit { per_minute, ..Limit::default() });
    }

    /// All orders, oldest first.
    pub fn orders(&self) -> Vec<OrderRecord> {
        let now = self.memory.now();
        let state = self.memory.state();
        state.orders.iter().map(|order| OrderRecord::of(order, &state, now)).collect()
    }

    /// The order with this id.
    pub fn order(&self, id: &str) -> Option<OrderRecord> {
        let now = self.memory.now();
        let state = self.memory.state();
        let order = state.orders.iter().find(|order| order.id == id)?;
        Some(OrderRecord::of(order, &state, now))
    }

    /// The last 10,000 requests to the API in the order of their arrival, including refused ones.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.memory.state().requests.iter().cloned().collect()
    }

    /// Number of those of this kind.
    pub fn calls(&self, call: Call) -> usize {
        self.memory.state().requests.iter().filter(|request| request.call == call).count()
    }
}

impl OrderRecord {
    fn of(order: &Order, state: &State, now: Timestamp) -> Self {
        let creates = state.requests.iter().filter(|request| request.call == Call::CreateOrder);
        let payments = order.payments.iter().map(|payment| PaymentRecord {
            id: payment.id.to_string(),
            status: payment.status,
            is_refunded: payment.is_refunded,
        });
        Self {
            id: order.id.clone(),
            status: order.status(now),
            amount_paise: order.amount.0,
            session: order.session.clone(),
            customer_phone: order.customer.phone.clone(),
            create_calls: creates.filter(|one| one.order_id.as_ref() == Some(&order.id)).count(),
            payments: payments.collect(),
        }
    }
}

impl std::fmt::Debug for FakeCashfree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeCashfree").field("address", &self.address).finish_non_exhaustive()
    }
}
