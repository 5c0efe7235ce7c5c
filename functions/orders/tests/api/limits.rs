//! Limits of orders, and of requests about them.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, TestStack};

use crate::api::setup::{PATH, User, count, expect, expire, refused};

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_user_may_make_ten_orders_an_hour() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let began = stack.clock.now();
    for _ in 0..10 {
        let id = ada.ordered().await;
        expire(&stack, &id);
    }
    let refusal = ada.order().await;
    assert_eq!(refusal.refusal(), refused(429, "too_many_orders"));
    assert_eq!(refusal.header("ratelimit-limit"), Some("10"));
    let since = stack.clock.now().duration_since(began);
    let wait = 3600 - since.as_secs().unsigned_abs();
    assert_eq!(retry_after(&refusal), wait);
    assert_eq!(count(&stack, "select count(*) from orders").await, 10);
    eve.ordered().await;

    stack.clock.advance(Duration::from_secs(wait));
    ada.ordered().await;
    // The open order is returned, however many there were.
    expect(200, ada.order().await);
}

#[tokio::test]
async fn a_user_may_look_at_orders_sixty_times_and_ask_for_one_twenty_times_a_minute() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    for _ in 0..60 {
        expect(404, ada.show("unknown").await);
    }
    for _ in 0..20 {
        expect(422, ada.post(json!({ "plan": "premium" })).await);
    }
    for (refusal, code, limit) in [
        (ada.show("unknown").await, "too_many_requests", "60"),
        (ada.order().await, "too_many_orders", "20"),
    ] {
        assert_eq!(refusal.refusal(), refused(429, code));
        assert_eq!(retry_after(&refusal), 60);
        assert_eq!(refusal.header("ratelimit-limit"), Some(limit));
    }
    expect(200, ada.client.get(PATH).await);
    eve.ordered().await;
    stack.clock.advance(Duration::from_mins(1));
    ada.ordered().await;
}
