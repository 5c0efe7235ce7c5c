//! Deliveries with an old signature: late retries, and replays. They count if the payment provider confirms them.

use std::time::Duration;

use fake_cashfree::{Attempt, Call};
use serde_json::json;
use testkit::PHONE;

use crate::api::setup::{Post, Shop, assert_accepted, ends, payment_body, waiting};

const ELEVEN_MINUTES: Duration = Duration::from_mins(11);

/// Fails unless exactly one delivery waits, and is marked stale.
async fn assert_waits_stale(shop: &Shop) {
    let [item] = waiting(&shop.stack).await.try_into().unwrap();
    assert_eq!(item.body.unwrap()["isStale"], json!(true));
    assert!(!item.text.contains(PHONE) && !item.text.contains("customer"), "{}", item.text);
    shop.assert_books("active", "", 0).await;
}

#[tokio::test]
async fn a_stale_delivery_waits_and_counts_once_the_provider_confirms_it() {
    let shop = Shop::open().await;
    let delivery = shop.paid();
    shop.stack.clock.advance(ELEVEN_MINUTES);
    for _ in 0..2 {
        shop.accepts(&delivery).await;
        assert_waits_stale(&shop).await;
    }
    assert_eq!(shop.stack.cashfree.calls(Call::GetOrder), 0);
    shop.stack.sweep(&shop.stack.owner_url()).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert_eq!(ends(&shop.stack).await, ["confirmed"]);
    assert!(waiting(&shop.stack).await.is_empty());
}

#[tokio::test]
async fn a_stale_delivery_that_the_provider_does_not_confirm_gives_nothing() {
    let shop = Shop::open().await;
    let (secret, now) = (shop.stack.cashfree.client_secret(), shop.stack.clock.now());
    // Signed with a secret that has leaked, perhaps.
    let body = payment_body(shop.order, "1");
    for (number, off) in [ELEVEN_MINUTES, Duration::from_hours(24 * 300)].into_iter().enumerate() {
        for signed_at in [now - off, now + off] {
            let post = Post::signed(&secret, signed_at, body.clone());
            assert_accepted(&post.to(&shop.webhook).await);
            assert_waits_stale(&shop).await;
        }
        shop.stack.sweep(&shop.stack.owner_url()).await;
        shop.assert_books("active", "", 0).await;
        assert_eq!(ends(&shop.stack).await, ["unconfirmed"]);
        assert!(waiting(&shop.stack).await.is_empty());
        assert!(shop.stack.cashfree.calls(Call::GetOrder) > number);
    }
}

#[tokio::test]
async fn a_fresh_delivery_counts_at_once_beside_a_stale_one_that_waits() {
    let shop = Shop::open().await;
    let mut delivery = shop.paid();
    shop.stack.clock.advance(ELEVEN_MINUTES);
    shop.accepts(&delivery).await;
    assert_waits_stale(&shop).await;
    delivery.resign(&shop.stack.cashfree.client_secret(), shop.stack.clock.now());
    shop.accepts(&delivery).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert_eq!(waiting(&shop.stack).await.len(), 1);
    shop.stack.sweep(&shop.stack.owner_url()).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert!(waiting(&shop.stack).await.is_empty());
}

#[tokio::test]
async fn a_signature_is_fresh_for_five_minutes_before_and_after_the_providers_clock() {
    const FIVE_MINUTES: Duration = Duration::from_mins(5);
    const MILLISECOND: Duration = Duration::from_millis(1);
    for (off, is_fresh) in [(FIVE_MINUTES, true), (FIVE_MINUTES + MILLISECOND, false)] {
        for is_early in [true, false] {
            let shop = Shop::open().await;
            let secret = shop.stack.cashfree.client_secret();
            let second = shop.stack.clock.now().as_second();
            shop.stack.clock.set(jiff::Timestamp::from_second(second).unwrap());
            let (mut delivery, now) = (shop.attempt(Attempt::success()), shop.stack.clock.now());
            delivery.resign(&secret, if is_early { now - off } else { now + off });
            shop.accepts(&delivery).await;
            let periods = i64::from(is_fresh);
            let payments = if is_fresh { "SUCCESS fulfilled" } else { "" };
            shop.assert_books(if is_fresh { "paid" } else { "active" }, payments, periods).await;
        }
    }
}
