//! `GET /api/orders/{id}`: what a page polls after the return from the payment page.

use std::time::Duration;

use fake_cashfree::{Attempt, Call, OrderStatus, Trouble, When};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_core::billing::OrderId;
use testkit::{Answer, TestStack};

use crate::api::setup::{PATH, User, at_provider, checkout, count, expect, pay, refused};

/// State, checkout and `retry-after` of an answer.
fn poll(answer: &Answer) -> (String, Value, Option<&str>) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    let state = body["order"]["state"].as_str().unwrap().to_owned();
    (state, body["checkout"].clone(), answer.header("retry-after"))
}

async fn ordered() -> (TestStack, User, String) {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    (stack, ada, id)
}

#[tokio::test]
async fn an_open_order_is_polled_and_the_provider_is_asked_every_three_seconds_at_most() {
    let (stack, ada, id) = ordered().await;
    let open = ("active".to_owned(), checkout(&stack, &id), Some("2"));
    let asked = || stack.cashfree.calls(Call::GetOrder);
    for answer in join_all((0..10).map(|_| ada.show(&id))).await {
        assert_eq!(poll(&answer), open);
    }
    assert_eq!(asked(), 1);
    stack.clock.advance(Duration::from_millis(2999));
    assert_eq!(poll(&ada.show(&id).await), open);
    assert_eq!(asked(), 1);
    stack.clock.advance(Duration::from_millis(1));
    assert_eq!(poll(&ada.show(&id).await), open);
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_payment_whose_webhook_was_lost_is_found_and_gives_its_period() {
    let (stack, ada, id) = ordered().await;
    stack.clock.advance(Duration::from_mins(2));
    pay(&stack, &id);
    let answer = ada.show(&id).await;
    assert_eq!(poll(&answer), ("paid".to_owned(), Value::Null, None));
    let now = stack.clock.now();
    let order = &answer.json()["order"];
    assert_eq!(
        (&order["paidAt"], &order["startsAt"]),
        (&json!(now.to_string()), &json!(now.to_string()))
    );
    assert_eq!(ada.periods(&stack).await, [(now, now + SignedDuration::from_hours(30 * 24))]);
    let payment = &at_provider(&stack, &id).payments[0].id;
    let recorded = format!("select count(*) from payments where id = '{payment}'");
    assert_eq!(count(&stack, &recorded).await, 1);

    // Later it says the same, and nobody is asked.
    stack.clock.advance(Duration::from_mins(2));
    let asked = stack.cashfree.requests().len();
    assert_eq!(ada.show(&id).await.json(), answer.json());
    assert_eq!(stack.cashfree.requests().len(), asked);
}

#[tokio::test]
async fn failed_dropped_and_pending_attempts_change_nothing_and_a_success_after_them_counts() {
    let (stack, ada, id) = ordered().await;
    let open = ("active".to_owned(), checkout(&stack, &id), Some("2"));
    for attempt in [Attempt::failure(), Attempt::user_dropped(), Attempt::pending()] {
        stack.cashfree.pay(&id, attempt).unwrap();
        stack.clock.advance(Duration::from_secs(3));
        assert_eq!(poll(&ada.show(&id).await), open);
        assert_eq!(ada.periods(&stack).await, []);
    }
    pay(&stack, &id);
    stack.clock.advance(Duration::from_secs(3));
    assert_eq!(poll(&ada.show(&id).await).0, "paid");
    assert_eq!(ada.periods(&stack).await.len(), 1);
}

#[tokio::test]
async fn an_order_that_is_over_at_the_provider_is_over_here() {
    let (stack, ada, id) = ordered().await;
    stack.cashfree.expire(&id);
    let expired = ada.show(&id).await;
    assert_eq!(poll(&expired), ("expired".to_owned(), Value::Null, None));
    assert_eq!(expired.json()["order"]["startsAt"], Value::Null);

    // With and without a payment under way there.
    for (pending, status) in
        [(false, OrderStatus::Terminated), (true, OrderStatus::TerminationRequested)]
    {
        let (stack, ada, id) = ordered().await;
        if pending {
            stack.cashfree.pay(&id, Attempt::pending()).unwrap();
        }
        let client = stack.cashfree_client().unwrap();
        client.terminate(OrderId::parse(&id).unwrap()).await.unwrap();
        assert_eq!(at_provider(&stack, &id).status, status);
        let terminated = ada.show(&id).await;
        assert_eq!(poll(&terminated), ("terminated".to_owned(), Value::Null, None));
        assert_eq!(terminated.json()["order"]["startsAt"], Value::Null);
    }
}

#[tokio::test]
async fn an_order_whose_creation_was_not_acknowledged_becomes_payable() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for (when, state) in [(When::Before, "created"), (When::After, "active")] {
        stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::Closed(when));
        stack.cashfree.fail_next(Call::GetOrder, 1, Trouble::BadGateway(When::Before));
        expect(503, ada.order().await);
        let list = ada.client.get(PATH).await.json();
        let id = list["items"][0]["id"].as_str().unwrap();
        assert_eq!(list["items"][0]["state"], "created");
        let payable = stack.cashfree.order(id).map(|_| checkout(&stack, id));
        let shown = ada.show(id).await;
        assert_eq!(poll(&shown), (state.to_owned(), payable.into(), Some("2")));
        stack.clock.advance(Duration::from_secs(3));
    }
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
}

#[tokio::test]
async fn an_order_whose_time_is_over_has_no_checkout_whatever_the_provider_says() {
    let (mut stack, ada, id) = ordered().await;
    stack.set("CASHFREE_BASE_URL", "http://127.0.0.1:1/pg");
    let ada = ada.again(&stack);
    stack.clock.advance(Duration::from_mins(30));
    assert_eq!(poll(&ada.show(&id).await), ("active".to_owned(), Value::Null, Some("2")));
}

#[tokio::test]
async fn a_payment_of_another_amount_or_currency_gives_nothing() {
    for attempt in [
        Attempt::success().order_amount("1"),
        Attempt::success().order_amount("450.001"),
        Attempt::success().order_currency("USD"),
    ] {
        let (stack, ada, id) = ordered().await;
        stack.cashfree.pay(&id, attempt).unwrap();
        for _ in 0..2 {
            assert_eq!(poll(&ada.show(&id).await).0, "active");
            stack.clock.advance(Duration::from_secs(3));
        }
        assert_eq!(ada.periods(&stack).await, []);
        let recorded = "select count(*) from payments where result = 'mismatch'";
        assert_eq!(count(&stack, recorded).await, 1);
    }
}

#[tokio::test]
async fn what_was_paid_may_differ_from_the_orders_amount() {
    let (stack, ada, id) = ordered().await;
    stack.cashfree.pay(&id, Attempt::success().offer("400.00")).unwrap();
    assert_eq!(poll(&ada.show(&id).await).0, "paid");
}

#[tokio::test]
async fn an_order_is_shown_to_its_owner_only() {
    let (stack, ada, id) = ordered().await;
    let eve = User::new(&stack, "eve").await;
    let unknown = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
    let upper = id.to_uppercase();
    for (user, id) in
        [(&eve, id.as_str()), (&ada, unknown), (&ada, "order_1"), (&ada, &upper), (&ada, "%00")]
    {
        assert_eq!(user.show(id).await.refusal(), refused(404, "order_not_found"), "{id}");
    }
    assert_eq!(stack.cashfree.calls(Call::GetOrder), 0);
    expect(200, ada.show(&id).await);
}
