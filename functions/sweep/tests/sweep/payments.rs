//! Orders here and at the payment provider, and deliveries that wait in the inbox.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use fake_cashfree::{Attempt, Delivery as Sent};
use shared_aws::Aws;
use shared_billing::{DELIVERIES, StoredDelivery};
use shared_cashfree::{Cashfree, Delivery, Freshness};
use shared_core::billing::{ORDER_LIFETIME, Offer, OrderId, Paise, PayerId, Phone, PlanId};
use shared_core::identity::Session;
use shared_inbox::Depth;
use shared_lambda::system_entropy;
use shared_postgres::NewOrder;
use sweep::{Deps, SweepError, SweepReport, sweep};
use testkit::TestStack;
use uuid::Uuid;

use crate::setup::{A, AMPLE, deps, said, stack, swept, vault};

/// Pays every order of a run of tests.
const PHONE: &str = "9908734801";

/// A stack, and Ada, who buys.
pub(crate) async fn shop() -> (TestStack, Session) {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    (stack, ada)
}

/// An order of `plan` at 450 rupees for 30 days, which the provider does not know.
pub(crate) async fn created(stack: &TestStack, session: &Session, plan: &str) -> OrderId {
    let plan = PlanId::parse(plan).unwrap();
    let offer = Offer { plan, price: Paise::new(45_000), days: 30, credits: 250 };
    let (entropy, now) = (system_entropy(), stack.clock.now());
    let new = NewOrder {
        id: OrderId(entropy.uuid(now)),
        offer: &offer,
        mode: "sandbox",
        expires_at: now + ORDER_LIFETIME,
        payer_if_new: PayerId(Uuid::from_bytes(entropy.bytes())),
        idempotency_key: None,
        replaces: None,
        has_phone: true,
    };
    stack.database().request(session, now).create_order(&new).await.unwrap().1.order.id
}

/// Makes an order at the provider, unacknowledged here.
pub(crate) async fn made_there(stack: &TestStack, id: OrderId) {
    make(stack, &stack.cashfree_client().unwrap(), id).await;
}

async fn make(stack: &TestStack, cashfree: &Cashfree, id: OrderId) {
    let new = shared_cashfree::NewOrder {
        id,
        payer: PayerId(Uuid::from_u128(7)),
        price: Paise::new(45_000),
        phone: &Phone::parse(PHONE).unwrap(),
        expires_at: stack.clock.now() + ORDER_LIFETIME,
        return_url: "https://chat.example.com/billing/return",
        notify_url: None,
        note: "Premium, 30 days",
    };
    cashfree.create_order(&new).await.unwrap();
}

/// An order that waits for its payment, here and there.
pub(crate) async fn ordered(stack: &TestStack, session: &Session, plan: &str) -> OrderId {
    let id = created(stack, session, plan).await;
    made_there(stack, id).await;
    stack.payments().activate_order(id).await.unwrap();
    id
}

/// Orders of as many users, as [`ordered`] makes them one by one.
pub(crate) async fn ordered_by_many(stack: &TestStack, count: i32) -> Vec<OrderId> {
    let sql = "
        with buyers as (
               insert into users (id, email, created_at)
               select id, id || '@example.com', $2
                 from (select gen_random_uuid() as id from generate_series(1, $1)) as new
               returning id
             ),
             contacts as (insert into billing_contacts (payer, user_id) select id, id from buyers)
        insert into orders (id, user_id, payer, plan, price_paise, days, credits, mode, state, created_at, expires_at, check_at)
        select gen_random_uuid(), id, id, 'premium', 45000, 30, 250, 'sandbox', 'active', $2, $2 + interval '30 minutes',
               $2 + interval '10 minutes'
          from buyers
        returning id";
    let rows = stack.owner().await.query(sql, &[&count, &stack.clock.now()]).await.unwrap();
    let orders: Vec<_> = rows.iter().map(|row| OrderId(row.get(0))).collect();
    let cashfree = stack.cashfree_client().unwrap();
    for order in &orders {
        make(stack, &cashfree, *order).await;
    }
    orders
}

/// Makes an attempt at the provider, and returns its delivery, which is not sent.
pub(crate) fn attempted(stack: &TestStack, order: OrderId, attempt: Attempt) -> Sent {
    stack.cashfree.pay(&order.to_string(), attempt).unwrap();
    stack.cashfree.deliveries().pop().unwrap()
}

/// Puts a delivery into the inbox, as the webhook does.
pub(crate) async fn put(stack: &TestStack, sent: &Sent, freshness: Freshness) {
    let delivery = StoredDelivery::new(Delivery::read(&sent.body), freshness, stack.clock.now());
    stack.inbox().put_item(&delivery.inbox_item().unwrap()).await.unwrap();
}

/// Pays an order, and leaves the delivery in the inbox.
pub(crate) async fn paid_and_waits(stack: &TestStack, order: OrderId, freshness: Freshness) {
    put(stack, &attempted(stack, order, Attempt::success()), freshness).await;
}

/// What waits, and what of that has failed.
pub(crate) async fn depth(stack: &TestStack) -> (u64, u64) {
    let Depth { waiting, failed } = stack.inbox().depth(DELIVERIES).await.unwrap();
    (waiting, failed)
}

pub(crate) fn dynamodb(stack: &TestStack) -> Client {
    Client::new(Aws::from_env(&stack.env()).unwrap().sdk_config())
}

/// How often deliveries have ended in each word.
pub(crate) async fn ended(stack: &TestStack) -> BTreeMap<String, usize> {
    let done = AttributeValue::S("delivery#done".to_owned());
    let query = dynamodb(stack).query().table_name("inbox").key_condition_expression("pk = :pk");
    let stubs = query.expression_attribute_values(":pk", done).send().await.unwrap();
    let mut words = BTreeMap::new();
    for stub in stubs.items() {
        *words.entry(stub["ended"].as_s().unwrap().clone()).or_default() += 1;
    }
    words
}

/// One whole run, of which nothing fails.
pub(crate) async fn run(stack: &TestStack) -> SweepReport {
    swept(stack, vault(&[A])).await
}

/// One whole run, of which something fails.
pub(crate) async fn failing_run(stack: &TestStack) -> SweepError {
    sweep(&deps(stack, vault(&[A])), AMPLE).await.unwrap_err()
}

/// Dependencies of a separate process.
pub(crate) fn process(stack: &TestStack) -> Deps {
    deps(stack, vault(&[A]))
}

pub(crate) fn counted<const N: usize>(report: &SweepReport, names: [&str; N]) -> [Option<u64>; N] {
    names.map(|name| report.count(name))
}

pub(crate) async fn state(stack: &TestStack, order: OrderId) -> String {
    said(stack, &format!("select state::text from orders where id = '{order}'")).await
}

/// Periods that were given.
pub(crate) const GIVEN: &str = "select count(*) from entitlements";

pub(crate) async fn as_owner(stack: &TestStack, sql: &str) {
    stack.owner().await.batch_execute(sql).await.unwrap();
}

/// From now on Postgres rejects the payments of an order.
pub(crate) async fn reject_payments(stack: &TestStack, order: OrderId) {
    let sql = format!(
        "create function reject() returns trigger language plpgsql as $$ begin raise exception 'rejected'; end $$;
         create trigger reject before insert on payments for each row when (new.order_id = '{order}')
           execute function reject();"
    );
    as_owner(stack, &sql).await;
}

pub(crate) async fn accept_payments(stack: &TestStack) {
    as_owner(stack, "drop trigger reject on payments").await;
}
