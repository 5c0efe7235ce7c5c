//! An open order that is not what would be sold now is replaced; one that is paid meanwhile is returned as paid.

use std::time::Duration;

use axum::routing::{get, patch};
use axum::{Json, Router};
use fake_cashfree::{Attempt, Call, OrderStatus, Trouble, When};
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use testkit::{Answer, TestStack};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::api::setup::{
    User, at_provider, checkout, count, expect, expire, order_id, order_state, pay, plans_with,
    refused,
};

/// A user with an open order.
async fn ordered() -> (TestStack, User, String) {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    (stack, ada, id)
}

/// Fails unless the answer is a new order that can be paid.
fn assert_new(stack: &TestStack, answer: Answer, old: &str) {
    let answer = expect(201, answer);
    let id = order_id(&answer);
    assert_ne!(id, old);
    assert_eq!(answer.json()["checkout"], checkout(stack, &id));
}

/// Fails unless the answer is this order, paid, and it alone has given a period.
async fn assert_paid(stack: &TestStack, ada: &User, answer: Answer, id: &str) {
    let answer = expect(200, answer);
    assert_eq!((order_id(&answer).as_str(), order_state(&answer).as_str()), (id, "paid"));
    assert_eq!(answer.json()["checkout"], Value::Null);
    let now = stack.clock.now();
    assert_eq!(ada.periods(stack).await, [(now, now + SignedDuration::from_hours(30 * 24))]);
    assert_eq!(count(stack, "select count(*) from orders").await, 1);
}

#[tokio::test]
async fn an_order_with_less_than_five_minutes_left_is_terminated_and_replaced() {
    let (stack, ada, old) = ordered().await;
    stack.clock.advance(Duration::from_mins(25));
    assert_eq!(order_id(&expect(200, ada.order().await)), old);
    stack.clock.advance(Duration::from_secs(1));
    assert_new(&stack, ada.order().await, &old);
    assert_eq!(at_provider(&stack, &old).status, OrderStatus::Terminated);
    assert_eq!(ada.state(&old).await, "terminated");
}

#[tokio::test]
async fn an_order_whose_figures_have_changed_is_terminated_and_replaced() {
    for (from, to, field, value) in [
        (
            "price_paise = 45_000",
            "price_paise = 49_950",
            "price",
            json!({ "amount": "499.50", "currency": "INR" }),
        ),
        ("days = 30", "days = 31", "days", json!(31)),
        ("credits = 250", "credits = 300", "credits", json!(300)),
    ] {
        let (stack, ada, old) = ordered().await;
        let ada = ada.sold(&stack, plans_with(from, to));
        let answer = ada.order().await;
        assert_eq!(answer.json()["order"][field], value);
        assert_new(&stack, answer, &old);
        assert_eq!(at_provider(&stack, &old).status, OrderStatus::Terminated, "{field}");
        assert_eq!(ada.state(&old).await, "terminated", "{field}");
    }
}

#[tokio::test]
async fn an_order_that_has_expired_at_the_provider_is_replaced() {
    // Before its time, and in time.
    for minutes in [0, 31] {
        let (stack, ada, old) = ordered().await;
        stack.clock.advance(Duration::from_mins(minutes));
        expire(&stack, &old);
        assert_new(&stack, ada.order().await, &old);
        assert_eq!(ada.state(&old).await, "expired");
    }
}

#[tokio::test]
async fn an_order_that_never_reached_the_provider_is_replaced_when_little_time_is_left() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::Closed(When::Before));
    expect(503, ada.order().await);
    // The provider would create none that ends within 15 minutes.
    stack.clock.advance(Duration::from_mins(20));
    assert_new(&stack, ada.order().await, "");
    assert_eq!(stack.cashfree.orders().len(), 1);
    let replaced = "select count(*) from orders where state = 'terminated'";
    assert_eq!(count(&stack, replaced).await, 1);
}

#[tokio::test]
async fn nobody_pays_twice_because_a_webhook_was_lost() {
    let (stack, ada, id) = ordered().await;
    pay(&stack, &id);
    assert_paid(&stack, &ada, ada.order().await, &id).await;
    // Who wants another period gets an order for the time after.
    let ends_at = ada.periods(&stack).await[0].1;
    let ahead = ada.order().await;
    assert_eq!(ahead.json()["order"]["startsAt"], ends_at.to_string());
    assert_new(&stack, ahead, &id);
}

#[tokio::test]
async fn an_order_that_cannot_be_terminated_because_it_is_paid_is_returned_as_paid() {
    let (stack, ada, id) = ordered().await;
    pay(&stack, &id);
    let dearer = ada.sold(&stack, plans_with("price_paise = 45_000", "price_paise = 50_000"));
    assert_paid(&stack, &ada, dearer.order().await, &id).await;

    let (stack, ada, id) = ordered().await;
    stack.clock.advance(Duration::from_mins(31));
    stack.cashfree.pay(&id, Attempt::success().began_earlier()).unwrap();
    assert_paid(&stack, &ada, ada.order().await, &id).await;
}

/// A provider that calls every order paid, and does not know of a payment yet.
async fn hasty_provider() -> (String, JoinSet<()>) {
    let order = async |axum::extract::Path(id): axum::extract::Path<String>| {
        Json(json!({
            "order_id": id, "order_amount": 450, "order_currency": "INR", "order_status": "PAID",
        }))
    };
    let terminate =
        async || (StatusCode::BAD_REQUEST, Json(json!({ "code": "order_termination_invalid" })));
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/orders/{id}", patch(terminate))
        .route("/orders/{id}/payments", get(async || Json(json!([]))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, app).await.unwrap() });
    (url, server)
}

#[tokio::test]
async fn an_order_that_is_paid_is_not_replaced_while_its_payment_is_unknown() {
    let (mut stack, ada, id) = ordered().await;
    let (url, _server) = hasty_provider().await;
    stack.set("CASHFREE_BASE_URL", url);
    let ada = ada.again(&stack);
    stack.clock.advance(Duration::from_mins(26));
    let refusal = ada.order().await;
    assert_eq!(refusal.refusal(), refused(503, "payments_unavailable"));
    assert_eq!(refusal.header("retry-after"), Some("5"));
    assert_eq!(order_state(&expect(200, ada.show(&id).await)), "active");
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
    let stuck = "select count(*) from orders where reported_paid_at is not null";
    assert_eq!(count(&stack, stuck).await, 1);
}

#[tokio::test]
async fn a_payment_session_that_cannot_be_decrypted_is_asked_for_again() {
    let (mut stack, ada, id) = ordered().await;
    stack.cashfree.set_client_secret("cfsk_replaced");
    stack.set("CASHFREE_CLIENT_SECRET", "cfsk_replaced");
    let after = ada.again(&stack);
    let answer = expect(200, after.order().await);
    assert_eq!(order_id(&answer), id);
    assert_eq!(answer.json()["checkout"], checkout(&stack, &id));
    assert_eq!(at_provider(&stack, &id).create_calls, 1);
    // So it is by who shows the order.
    let (mut stack, ada, id) = ordered().await;
    stack.cashfree.set_client_secret("cfsk_replaced");
    stack.set("CASHFREE_CLIENT_SECRET", "cfsk_replaced");
    let shown = expect(200, ada.again(&stack).show(&id).await);
    assert_eq!(shown.json()["checkout"], checkout(&stack, &id));
}
