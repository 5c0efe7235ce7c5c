//! Requests at once, and the same payment reported by everybody at once.

use std::time::Duration;

use fake_cashfree::OrderStatus;
use futures_util::future::join_all;
use serde_json::json;
use shared_cashfree::WebhookSecrets;
use testkit::{Answer, Client, TestStack};

use crate::api::setup::{User, at_provider, checkout, count, expect, order_id, pay};

/// Ten orders at once, each of a function instance of its own.
async fn order_at_once(stack: &TestStack, ada: &User) -> Vec<Answer> {
    let instances: Vec<_> = (0..10).map(|_| ada.again(stack)).collect();
    join_all(instances.iter().map(User::order)).await
}

/// Fails unless one of the answers has a new order, and all have the same one; returns its id.
fn assert_one_order(stack: &TestStack, answers: &[Answer]) -> String {
    let id = order_id(&answers[0]);
    let mut statuses = Vec::new();
    for answer in answers {
        assert_eq!(order_id(answer), id, "{}", answer.body);
        assert_eq!(answer.json()["checkout"], checkout(stack, &id), "{}", answer.body);
        statuses.push(answer.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 200, 201]);
    id
}

#[tokio::test]
async fn ten_requests_at_once_make_one_order_here_and_one_there() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    assert_one_order(&stack, &order_at_once(&stack, &ada).await);
    assert_eq!(stack.cashfree.orders().len(), 1);
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
}

#[tokio::test]
async fn ten_requests_at_once_with_different_phone_numbers_make_one_order() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let instances: Vec<_> = (0..10).map(|_| ada.again(&stack)).collect();
    let bodies =
        (0..10).map(|digit| json!({ "plan": "premium", "phone": format!("990873480{digit}") }));
    let answers = join_all(instances.iter().zip(bodies).map(|(one, body)| one.post(body))).await;
    assert_one_order(&stack, &answers);
    assert_eq!(stack.cashfree.orders().len(), 1);
}

#[tokio::test]
async fn ten_requests_at_once_replace_an_order_once() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let old = ada.ordered().await;
    stack.clock.advance(Duration::from_mins(26));
    let new = assert_one_order(&stack, &order_at_once(&stack, &ada).await);
    assert_ne!(new, old);
    assert_eq!(at_provider(&stack, &old).status, OrderStatus::Terminated);
    assert_eq!(stack.cashfree.orders().len(), 2);
    assert_eq!(count(&stack, "select count(*) from orders").await, 2);
}

/// The function that receives the provider's webhooks.
fn webhook(stack: &TestStack) -> Client {
    Client::new(webhook::app(webhook::Deps {
        app: stack.app_context(),
        secrets: WebhookSecrets::from_env(&stack.env()).unwrap(),
        inbox: stack.inbox(),
        payments: stack.payments(),
    }))
}

#[tokio::test]
async fn poll_order_webhook_and_sweep_at_once_give_one_period() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    // When the sweep asks, too.
    stack.clock.advance(Duration::from_mins(11));
    pay(&stack, &id);
    let delivery = &stack.cashfree.deliveries()[0];
    let instances: Vec<_> = (0..3).map(|_| (ada.again(&stack), webhook(&stack))).collect();
    let owner_url = stack.owner_url();
    let all =
        join_all(instances.iter().map(async |(ada, webhook)| {
            tokio::join!(
                ada.show(&id),
                ada.order(),
                webhook.deliver(delivery),
                stack.sweep(&owner_url),
            )
        }));
    for (shown, placed, delivered, _) in all.await {
        expect(200, shown);
        expect(200, delivered);
        // Who comes after the payment orders ahead.
        assert!([200, 201].contains(&placed.status.as_u16()), "{}", placed.body);
    }
    assert_eq!(ada.show(&id).await.json()["order"]["state"], "paid");
    assert_eq!(ada.periods(&stack).await.len(), 1);
    assert_eq!(count(&stack, "select count(*) from payments").await, 1);
    let fulfilled = "select count(*) from audit_log where kind = 'payment.fulfilled'";
    assert_eq!(count(&stack, fulfilled).await, 1);
}

#[tokio::test]
async fn a_connection_that_may_write_money_is_opened_when_there_is_something_to_fulfil() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let of_role = async |role: &str| {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = current_database() and usename = '{role}'"
        );
        count(&stack, &sql).await
    };
    let id = ada.ordered().await;
    expect(200, ada.order().await);
    stack.clock.advance(Duration::from_secs(3));
    expect(200, ada.show(&id).await);
    assert_eq!((of_role("app_user").await > 0, of_role("app_money").await), (true, 0));
    pay(&stack, &id);
    stack.clock.advance(Duration::from_secs(3));
    expect(200, ada.show(&id).await);
    assert_eq!(of_role("app_money").await, 1);
}
