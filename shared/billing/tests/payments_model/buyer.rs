//! A buyer, and what becomes of their acts.

use std::cell::{Cell, RefCell};

use fake_cashfree::{Attempt, Delivery, FakeCashfree};
use futures_util::future::join_all;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use shared_core::identity::Session;
use shared_core::ids::UserId;
use testkit::{Answer, Client};

use crate::history::{Act, Deed};
use crate::killed::killed;
use crate::systems::Functions;

pub(crate) const PHONE: &str = "9908734801";

/// A buyer: a case of the model.
pub(crate) struct Buyer {
    pub(crate) session: Session,
    pub(crate) cookie: String,
    /// Their orders, oldest first.
    pub(crate) orders: Vec<String>,
    /// Payments that were pending.
    pending: RefCell<Vec<String>>,
    /// Payments that are reported with a wrong amount or currency.
    wrong: RefCell<Vec<String>>,
    /// How many different requests to order there were.
    requests: Cell<u32>,
}

impl Buyer {
    pub(crate) fn new(session: Session, cookie: String) -> Self {
        let (pending, wrong) = (RefCell::default(), RefCell::default());
        Self { session, cookie, orders: Vec::new(), pending, wrong, requests: Cell::new(0) }
    }

    pub(crate) fn is_wrong(&self, payment: &str) -> bool {
        self.wrong.borrow().iter().any(|wrong| wrong == payment)
    }

    pub(crate) fn user(&self) -> UserId {
        self.session.user
    }

    /// Does a deed, unless its process is killed in the middle of it.
    pub(crate) async fn does(
        &self,
        deed: &Deed,
        functions: &Functions,
        provider: &FakeCashfree,
        now: Timestamp,
    ) {
        let done = killed(deed.killed_after, self.acts(&deed.act, functions, provider, now));
        // A panic, and a refusal of what is sent to the provider, are bugs.
        let bugs = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_GATEWAY];
        for answer in done.await.into_iter().flatten() {
            assert!(!bugs.contains(&answer.status), "{deed:?}: {answer:?}");
        }
    }

    /// Returns the answers to its requests.
    async fn acts(
        &self,
        act: &Act,
        functions: &Functions,
        provider: &FakeCashfree,
        now: Timestamp,
    ) -> Vec<Answer> {
        match act {
            Act::Order { plan, is_retry } => {
                vec![self.order_once(functions, plan, *is_retry).await]
            }
            Act::Poll { order } => match order.of(&self.orders) {
                Some(order) => vec![self.poll(functions, order).await],
                None => Vec::new(),
            },
            Act::Deliver { order, delivery, is_resigned } => {
                let Some(order) = order.of(&self.orders) else { return Vec::new() };
                let made = provider.deliveries_of(order);
                let Some(delivery) = delivery.of(&made) else { return Vec::new() };
                let mut delivery = delivery.clone();
                if *is_resigned {
                    delivery.resign(&provider.client_secret(), now);
                }
                vec![functions.webhook.deliver(&delivery).await]
            }
            Act::DeliverAll => {
                let made = self.orders.iter().flat_map(|order| provider.deliveries_of(order));
                let deliver = async |mut delivery: Delivery| {
                    delivery.resign(&provider.client_secret(), now);
                    functions.webhook.deliver(&delivery).await
                };
                join_all(made.map(deliver)).await
            }
            Act::Pay { .. } | Act::PayAll | Act::Settle { .. } | Act::Expire { .. } => {
                self.happens(act, provider);
                Vec::new()
            }
        }
    }

    /// What happens at the provider. It refuses what is not possible any more.
    fn happens(&self, act: &Act, provider: &FakeCashfree) -> Option<()> {
        match act {
            Act::Pay { order, attempt, is_wrong } => {
                let payment = provider.pay(order.of(&self.orders)?, attempt.clone()).ok()?;
                let list = if *is_wrong { &self.wrong } else { &self.pending };
                list.borrow_mut().push(payment);
            }
            Act::PayAll => {
                for order in &self.orders {
                    // Most are over or paid.
                    let _ = provider.pay(order, Attempt::success());
                }
            }
            Act::Settle { payment } => {
                provider.settle(payment.of(&self.pending.borrow())?).ok()?;
            }
            Act::Expire { order } => provider.expire(order.of(&self.orders)?),
            Act::Order { .. } | Act::Poll { .. } | Act::Deliver { .. } | Act::DeliverAll => {}
        }
        Some(())
    }

    /// A retry has the idempotency key of the last request.
    async fn order_once(&self, functions: &Functions, plan: &str, is_retry: bool) -> Answer {
        if !is_retry {
            self.requests.set(self.requests.get() + 1);
        }
        let key = format!("{plan}-{}", self.requests.get());
        self.order(&functions.orders.clone().with("idempotency-key", &key), plan).await
    }

    async fn poll(&self, functions: &Functions, order: &str) -> Answer {
        let client = functions.orders.clone().signed_in(&self.cookie);
        client.get(&format!("/api/orders/{order}")).await
    }

    pub(crate) async fn order(&self, client: &Client, plan: &str) -> Answer {
        let client = client.clone().signed_in(&self.cookie);
        client.post("/api/orders", &json!({ "plan": plan, "phone": PHONE })).await
    }
}
