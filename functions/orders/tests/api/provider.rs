//! Failures of the provider while an order is placed.

use std::time::Duration;

use fake_cashfree::{Call, Trouble, When};
use futures_util::future::join_all;
use serde_json::json;
use testkit::TestStack;

use crate::api::setup::{PHONE, User, at_provider, checkout, count, expect, order_id, refused};

/// The idempotency keys of all requests to create an order.
fn keys(stack: &TestStack) -> Vec<String> {
    let creations =
        stack.cashfree.requests().into_iter().filter(|one| one.call == Call::CreateOrder);
    creations.map(|one| one.idempotency_key.unwrap()).collect()
}

#[tokio::test]
async fn an_order_whose_creation_was_not_acknowledged_is_looked_up() {
    let lost = [
        Trouble::Closed(When::After),
        Trouble::Hang(When::After),
        Trouble::InternalError(When::After),
        Trouble::BadGateway(When::After),
        Trouble::MalformedJson,
    ];
    join_all(lost.map(async |trouble| {
        let stack = TestStack::start().await;
        let ada = User::new(&stack, "ada").await;
        stack.cashfree.fail_next(Call::CreateOrder, 1, trouble);
        let answer = expect(201, ada.order().await);
        let id = order_id(&answer);
        assert_eq!(answer.json()["checkout"], checkout(&stack, &id), "{trouble:?}");
        assert_eq!(stack.cashfree.calls(Call::GetOrder), 1, "{trouble:?}");
        assert_eq!(order_id(&expect(200, ada.order().await)), id);
        assert_eq!(stack.cashfree.orders().len(), 1, "{trouble:?}");
    }))
    .await;
}

#[tokio::test]
async fn what_did_not_reach_the_provider_is_completed_by_the_next_request() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::Closed(When::Before));
    let refusal = ada.order().await;
    assert_eq!(refusal.refusal(), refused(503, "payments_unavailable"));
    assert_eq!(refusal.header("retry-after"), Some("5"));
    let created = "select count(*) from orders where state = 'created'";
    assert_eq!(count(&stack, created).await, 1);

    stack.clock.advance(Duration::from_mins(13));
    let answer = expect(200, ada.order().await);
    let id = order_id(&answer);
    assert_eq!(answer.json()["checkout"], checkout(&stack, &id));
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
    let [first, second] = &keys(&stack)[..] else { panic!("{:?}", keys(&stack)) };
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_server_error_that_the_provider_repeats_is_overcome_by_another_key() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    stack.cashfree.fail_next(Call::CreateOrder, 2, Trouble::InternalError(When::Before));
    assert_eq!(ada.order().await.refusal(), refused(503, "payments_unavailable"));
    stack.clock.advance(Duration::from_mins(1));
    let id = order_id(&expect(200, ada.order().await));
    let [first, second, again, third] = &keys(&stack)[..] else { panic!("{:?}", keys(&stack)) };
    assert!(first == again && first != second && second != third);
    assert_eq!(at_provider(&stack, &id).create_calls, 4);
    assert_eq!(stack.cashfree.orders().len(), 1);
}

#[tokio::test]
async fn a_provider_that_refuses_this_service_is_reported_and_the_order_waits() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let secret = stack.cashfree.client_secret();
    stack.cashfree.set_client_secret("replaced");
    let refusal = ada.order().await;
    assert_eq!(refusal.refusal(), refused(502, "payments_misconfigured"));
    assert_eq!(refusal.header("retry-after"), None);
    stack.cashfree.set_client_secret(secret);
    expect(200, ada.order().await);
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
}

#[tokio::test]
async fn the_providers_rate_limit_is_obeyed_and_passed_on() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::RateLimited);
    // The second request is not even sent.
    for left in [7, 4] {
        let refusal = ada.order().await;
        assert_eq!(refusal.refusal(), refused(503, "payments_unavailable"));
        assert_eq!(refusal.header("retry-after"), Some(left.to_string().as_str()));
        assert_eq!(stack.cashfree.calls(Call::CreateOrder), 1);
        stack.clock.advance(Duration::from_secs(3));
    }
    stack.clock.advance(Duration::from_secs(1));
    expect(200, ada.order().await);
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
}

#[tokio::test]
async fn a_phone_number_that_the_provider_refuses_can_be_corrected_at_once() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::PhoneRefused);
    let body = json!({ "plan": "premium", "phone": PHONE, "rememberPhone": true });
    let refusal = ada.post(body).await;
    assert_eq!(refusal.refusal(), refused(422, "invalid_phone"));
    assert!(!refusal.body.contains(PHONE), "{}", refusal.body);
    // It is not remembered.
    assert_eq!(
        ada.post(json!({ "plan": "premium" })).await.refusal(),
        refused(422, "phone_needed")
    );
    let other = json!({ "plan": "premium", "phone": "9908734802" });
    let id = order_id(&expect(201, ada.post(other).await));
    assert_eq!(at_provider(&stack, &id).customer_phone, "9908734802");
}
