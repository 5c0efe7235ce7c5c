//! A shop with an order that waits for its payment, deliveries, and what the books and the inbox say after them.

use std::time::Duration;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::{Body, Bytes};
use fake_cashfree::{Attempt, Delivery, sign};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared_aws::Aws;
use shared_cashfree::WebhookSecrets;
use shared_core::billing::OrderId;
use shared_core::identity::Session;
use testkit::{Answer, Client, PHONE, Stopwatch, TestStack, WEBHOOK};
use tokio::time::sleep;
use webhook::{Deps, app};

/// A Postgres that refuses connections.
pub(crate) const NO_POSTGRES: &str = "postgres://app_money@127.0.0.1:1/x";

/// An instance of the function, with the current variables.
pub(crate) fn instance(stack: &TestStack) -> Client {
    Client::new(app(Deps {
        app: stack.app_context(),
        secrets: WebhookSecrets::from_env(&stack.env()).unwrap(),
        inbox: stack.inbox(),
        payments: stack.payments(),
    }))
}

/// A user whose order of the plan `premium` waits for its payment, and an instance of the function.
pub(crate) struct Shop {
    pub(crate) stack: TestStack,
    pub(crate) ada: Session,
    pub(crate) order: OrderId,
    pub(crate) webhook: Client,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let stack = TestStack::start().await;
        let ada = stack.session("ada@example.com").await;
        let order = stack.order(&ada).await;
        let webhook = instance(&stack);
        Self { stack, ada, order, webhook }
    }

    /// The same shop, whose function has this variable.
    pub(crate) fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.stack.set(variable, value);
        self.webhook = instance(&self.stack);
        self
    }

    /// Makes an attempt to pay the order, and returns its delivery.
    pub(crate) fn attempt(&self, attempt: Attempt) -> Delivery {
        attempt_to_pay(&self.stack, self.order, attempt)
    }

    /// Pays the order, and returns the delivery.
    pub(crate) fn paid(&self) -> Delivery {
        self.attempt(Attempt::success())
    }

    /// Delivers, and fails unless the answer is 200.
    pub(crate) async fn accepts(&self, delivery: &Delivery) {
        assert_accepted(&self.webhook.deliver(delivery).await);
    }

    pub(crate) async fn assert_books(&self, orders: &str, payments: &str, periods: i64) {
        assert_eq!(books(&self.stack).await, (orders.to_owned(), payments.to_owned(), periods));
    }
}

pub(crate) fn attempt_to_pay(stack: &TestStack, order: OrderId, attempt: Attempt) -> Delivery {
    stack.cashfree.pay(&order.to_string(), attempt).unwrap();
    last_delivery(stack)
}

/// The delivery that the payment provider has made last.
pub(crate) fn last_delivery(stack: &TestStack) -> Delivery {
    stack.cashfree.deliveries().pop().unwrap()
}

pub(crate) fn assert_accepted(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{}"));
}

/// The states of all orders, status and result of all payments, and the number of all periods.
pub(crate) async fn books(stack: &TestStack) -> (String, String, i64) {
    let sql = "
        select coalesce((select string_agg(state, ' ' order by created_at, id) from orders), ''),
               coalesce((select string_agg(status || ' ' || result, ', ' order by id) from payments), ''),
               (select count(*) from entitlements)";
    let row = stack.owner().await.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let waited = Stopwatch::start();
    while !is_so().await {
        assert!(waited.elapsed_on_time() < Duration::from_secs(20), "it does not happen");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a delivery waits.
pub(crate) async fn until_put(shop: &Shop) {
    until(async || !waiting(&shop.stack).await.is_empty()).await;
}

/// A request, header by header.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Post {
    /// With the headers that a request needs, and no others.
    pub(crate) fn signed(secret: &str, at: Timestamp, body: impl Into<Bytes>) -> Self {
        Self::with_timestamp(secret, &at.as_millisecond().to_string(), body)
    }

    pub(crate) fn with_timestamp(secret: &str, timestamp: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let (mut post, signature) = (
            Self { headers: HeaderMap::new(), body: body.clone() },
            sign(secret, timestamp, &body),
        );
        post.set("x-webhook-timestamp", timestamp);
        post.set("x-webhook-signature", &signature);
        post
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }

    pub(crate) async fn to(&self, webhook: &Client) -> Answer {
        let mut request = webhook.request("POST", WEBHOOK, Body::from(self.body.clone()));
        request.headers_mut().extend(self.headers.clone());
        webhook.send(request).await
    }
}

impl From<&Delivery> for Post {
    fn from(delivery: &Delivery) -> Self {
        let mut post = Self { headers: HeaderMap::new(), body: delivery.body.clone() };
        for (name, value) in &delivery.headers {
            post.set(name, value);
        }
        post
    }
}

/// The body of a payment's webhook, whoever makes it.
pub(crate) fn payment_body(order: OrderId, payment: &str) -> String {
    let body = json!({
        "data": {
            "order": { "order_id": order.to_string(), "order_amount": "450.00", "order_currency": "INR" },
            "payment": { "cf_payment_id": payment, "payment_status": "SUCCESS", "payment_amount": "450.00" },
            "customer_details": { "customer_phone": PHONE },
        },
        "event_time": "2026-11-22T20:31:04+05:30",
        "type": "PAYMENT_SUCCESS_WEBHOOK",
    });
    body.to_string()
}

/// An item of the inbox.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    /// How it ended, if it is done.
    pub(crate) ended: Option<String>,
    /// When DynamoDB deletes it, in seconds since 1970.
    pub(crate) ttl: Option<i64>,
    /// What is kept of the delivery.
    pub(crate) body: Option<Value>,
    /// Every attribute's name and value.
    pub(crate) text: String,
}

/// The deliveries that wait.
pub(crate) async fn waiting(stack: &TestStack) -> Vec<Item> {
    items(stack, "delivery#waiting").await
}

/// The deliveries that are done.
pub(crate) async fn done(stack: &TestStack) -> Vec<Item> {
    items(stack, "delivery#done").await
}

/// How each delivery that is done ended.
pub(crate) async fn ends(stack: &TestStack) -> Vec<String> {
    done(stack).await.into_iter().filter_map(|item| item.ended).collect()
}

async fn items(stack: &TestStack, partition: &str) -> Vec<Item> {
    let client = DynamoDb::new(Aws::from_env(&stack.env()).unwrap().sdk_config());
    let query = client.query().table_name("inbox").consistent_read(true);
    let query = query.key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
    let mut pages = query.into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(attributes) = pages.next().await {
        let attributes = attributes.unwrap();
        let text = |name: &str| Some(attributes.get(name)?.as_s().unwrap().clone());
        let body = attributes.get("body").map(|body| body.as_b().unwrap().as_ref());
        items.push(Item {
            id: text("sk").unwrap(),
            ended: text("ended"),
            ttl: attributes.get("ttl").map(|ttl| ttl.as_n().unwrap().parse().unwrap()),
            body: body.map(|body| serde_json::from_slice(body).unwrap()),
            text: format!("{attributes:?} {}", String::from_utf8_lossy(body.unwrap_or_default())),
        });
    }
    items
}
