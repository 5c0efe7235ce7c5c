//! Users who order, and reports of payments.

use jiff::{SignedDuration, Timestamp};
use shared_core::billing::{
    Fulfilment, ORDER_LIFETIME, Offer, OrderId, Paise, PayerId, PaymentAttempt, PlanId,
};
use shared_core::identity::Session;
use shared_postgres::{CreateOrderError, NewOrder, OrderOrigin, StoredOrder};
use testkit::TestStack;

pub(crate) fn offer(plan: &str) -> Offer {
    let plan = PlanId::parse(plan).unwrap();
    Offer { plan, price: Paise::new(45_000), days: 30, credits: 250 }
}

/// The changeable parts of an order that a test makes.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) offer: Offer,
    pub(crate) key: Option<&'a str>,
    pub(crate) replaces: Option<OrderId>,
    pub(crate) has_phone: bool,
}

pub(crate) fn wanted(plan: &str) -> Wanted<'static> {
    Wanted { offer: offer(plan), key: None, replaces: None, has_phone: true }
}

pub(crate) async fn create(
    stack: &TestStack,
    session: &Session,
    wanted: &Wanted<'_>,
) -> Result<(OrderOrigin, StoredOrder), CreateOrderError> {
    let (app, now) = (stack.app_context(), stack.clock.now());
    let entropy = app.entropy();
    let new = NewOrder {
        id: OrderId(entropy.uuid(now)),
        offer: &wanted.offer,
        mode: "sandbox",
        expires_at: now + ORDER_LIFETIME,
        payer_if_new: PayerId(uuid::Uuid::from_bytes(entropy.bytes())),
        idempotency_key: wanted.key,
        replaces: wanted.replaces,
        has_phone: wanted.has_phone,
    };
    stack.database().request(session, now).create_order(&new).await
}

/// An order of `plan` at 450 rupees.
pub(crate) async fn ordered(stack: &TestStack, session: &Session, plan: &str) -> OrderId {
    create(stack, session, &wanted(plan)).await.unwrap().1.order.id
}

/// A payment of 450 rupees that has succeeded.
pub(crate) fn paid(order: OrderId, payment: &str) -> PaymentAttempt {
    PaymentAttempt {
        payment: payment.to_owned(),
        order: order.to_string(),
        status: "SUCCESS".to_owned(),
        order_amount: "450.00".to_owned(),
        currency: "INR".to_owned(),
        amount: Some("450.00".to_owned()),
        at: None,
    }
}

pub(crate) fn with_status(attempt: &PaymentAttempt, status: &str) -> PaymentAttempt {
    PaymentAttempt { status: status.to_owned(), ..attempt.clone() }
}

pub(crate) async fn fulfil(stack: &TestStack, attempt: &PaymentAttempt) -> Fulfilment {
    stack.payments().fulfil(attempt, stack.clock.now()).await.unwrap()
}

pub(crate) async fn state(stack: &TestStack, session: &Session, order: OrderId) -> String {
    let now = stack.clock.now();
    let stored = stack.database().request(session, now).order(order).await.unwrap().unwrap();
    stored.order.state.as_str().to_owned()
}

/// A user's periods, the first one first.
pub(crate) async fn periods(stack: &TestStack, session: &Session) -> Vec<(Timestamp, Timestamp)> {
    let sql = "select starts_at, ends_at from entitlements where user_id = $1 order by starts_at";
    let rows = stack.owner().await.query(sql, &[&session.user.0]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

pub(crate) fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

pub(crate) async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}
