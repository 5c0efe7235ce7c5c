//! `x-idempotency-key`.

use fake_cashfree::{Call, FakeCashfree, Trouble, When};
use jiff::SignedDuration;
use serde_json::Value;

use crate::client::{Answer, api, held, order, send};

async fn create(fake: &FakeCashfree, key: &str, body: &Value) -> Answer {
    let request = api(fake, "POST", "/orders").header("x-idempotency-key", key);
    send(fake, request, &body.to_string()).await.unwrap()
}

#[tokio::test]
async fn the_same_key_and_body_replay_the_first_answer() {
    let (fake, clock) = held().await;
    let first = create(&fake, "key", &order("order_1")).await;
    assert_eq!((first.status.as_u16(), first.header("x-idempotency-replayed")), (200, "false"));
    clock.advance(SignedDuration::from_hours(23));
    let again = create(&fake, "key", &order("order_1")).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("x-idempotency-replayed"), "true");
    assert_eq!(again.header("x-idempotency-key"), "key");
    clock.advance(SignedDuration::from_hours(1));
    let much_later = create(&fake, "key", &order("order_1")).await;
    assert_ne!(much_later.text, first.text, "a key is forgotten after a day");
    assert_eq!(fake.orders().len(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let (fake, _) = held().await;
    create(&fake, "key", &order("order_1")).await;
    let other = create(&fake, "key", &order("order_2")).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (400, "idempotency_key_mismatch"));
    assert_eq!(other.json()["type"], "idempotency_error");
    assert_eq!(create(&fake, "other", &order("order_2")).await.status, 200);
}

#[tokio::test]
async fn an_error_of_cashfree_is_replayed_too() {
    let (fake, _) = held().await;
    for (id, when, exists) in [("order_1", When::Before, false), ("order_2", When::After, true)] {
        fake.fail_next(Call::CreateOrder, 1, Trouble::InternalError(when));
        for replayed in ["false", "true"] {
            let answer = create(&fake, id, &order(id)).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "internal_error"));
            assert_eq!(answer.header("x-idempotency-replayed"), replayed);
        }
        assert_eq!(fake.order(id).is_some(), exists);
    }
}

#[tokio::test]
async fn the_refusal_of_a_phone_number_is_replayed_too() {
    let (fake, _) = held().await;
    fake.fail_next(Call::CreateOrder, 1, Trouble::PhoneRefused);
    for (key, status) in [("key", 400), ("key", 400), ("other", 200)] {
        let answer = create(&fake, key, &order("order_1")).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.text.contains("customer_details.customer_phone_invalid"), status == 400);
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replayed() {
    let (fake, _) = held().await;
    fake.fail_next(Call::CreateOrder, 1, Trouble::Closed(When::After));
    let request = api(&fake, "POST", "/orders").header("x-idempotency-key", "key");
    assert!(send(&fake, request, &order("order_1").to_string()).await.is_none());
    let answer = create(&fake, "key", &order("order_1")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-idempotency-replayed")), (200, "true"));
    assert_eq!(answer.json()["order_id"], "order_1");
}
