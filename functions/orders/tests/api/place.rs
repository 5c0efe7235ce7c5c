//! Orders that are placed: here, and at the provider.

use std::time::Duration;

use fake_cashfree::{Call, OrderStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::{ORIGIN, TestStack};
use uuid::Uuid;

use crate::api::setup::{PHONE, User, at_provider, checkout, count, expect, order_id, pay};

#[tokio::test]
async fn an_order_is_new_once_and_then_continued() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let now = stack.clock.now();
    let first = expect(201, ada.order().await);
    let id = order_id(&first);
    let expected = json!({
        "order": {
            "id": id,
            "plan": "premium",
            "price": { "amount": "450.00", "currency": "INR" },
            "days": 30,
            "credits": 250,
            "state": "active",
            "startsAt": now.to_string(),
            "expiresAt": (now + SignedDuration::from_mins(30)).to_string(),
            "createdAt": now.to_string(),
            "paidAt": null,
        },
        "checkout": checkout(&stack, &id),
    });
    assert_eq!(first.json(), expected);
    assert_eq!(first.header("cache-control"), Some("no-store"));
    // As often as it is asked for, with or without a phone number.
    for body in [json!({ "plan": "premium", "phone": PHONE }), json!({ "plan": "premium" })] {
        assert_eq!(expect(200, ada.post(body).await).json(), expected);
    }
    assert_eq!(stack.cashfree.orders().len(), 1);
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
}

#[tokio::test]
async fn the_provider_is_told_the_price_the_phone_number_and_nothing_else_of_the_buyer() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    let requests = stack.cashfree.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(
        (request.call, request.api_version.as_deref()),
        (Call::CreateOrder, Some("2025-01-01"))
    );
    let body = str::from_utf8(&request.body).unwrap();
    // A float would have lost the zeros.
    assert!(body.contains(r#""order_amount":450.00,"#), "{body}");
    let payer = stack.owner().await.query_one("select payer from billing_contacts", &[]).await;
    let payer: Uuid = payer.unwrap().get(0);
    let mut body: Value = serde_json::from_str(body).unwrap();
    let expiry = body["order_expiry_time"].take();
    let expected = json!({
        "order_id": id,
        "order_amount": 450.0,
        "order_currency": "INR",
        "customer_details": { "customer_id": payer.simple().to_string(), "customer_phone": PHONE },
        "order_meta": {
            "return_url": format!("{ORIGIN}/billing/return?order={id}"),
            "notify_url": format!("{ORIGIN}/api/webhooks/cashfree"),
        },
        "order_expiry_time": null,
        "order_note": "Premium, 30 days",
    });
    assert_eq!(body, expected);
    let expiry = expiry.as_str().unwrap();
    assert!(expiry.ends_with('Z') && !expiry.contains('.'), "{expiry}");
    let left = expiry.parse::<Timestamp>().unwrap().duration_since(stack.clock.now());
    assert!((1799..=1800).contains(&left.as_secs()), "{left}");
}

#[tokio::test]
async fn another_user_gets_an_order_of_her_own_and_another_payer() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    assert_ne!(ada.ordered().await, eve.ordered().await);
    let payers = "select count(distinct payer) from orders";
    assert_eq!(count(&stack, payers).await, 2);
}

#[tokio::test]
async fn who_buys_ahead_sees_before_paying_when_the_period_begins() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let first = ada.ordered().await;
    pay(&stack, &first);
    expect(200, ada.show(&first).await);
    let [(_, ends_at)] = ada.periods(&stack).await[..] else { panic!("no period") };

    stack.clock.advance(Duration::from_hours(24));
    let ahead = expect(201, ada.order().await);
    assert_eq!(ahead.json()["order"]["startsAt"], ends_at.to_string());
    let second = order_id(&ahead);
    pay(&stack, &second);
    let paid = ada.show(&second).await.json();
    assert_eq!(paid["order"]["startsAt"], ends_at.to_string());
    let begins: Vec<_> = ada.periods(&stack).await.iter().map(|period| period.0).collect();
    assert_eq!(begins, [ends_at - SignedDuration::from_hours(30 * 24), ends_at]);
    assert_eq!(at_provider(&stack, &second).status, OrderStatus::Paid);
}
