//! `idempotency-key`.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, TestStack};

use crate::api::setup::{
    PATH, PHONE, User, count, expect, expire, order_id, order_state, pay, plans_with, refused,
};

async fn with_key(user: &User, key: &str, plan: &str) -> Answer {
    let client = user.client.clone().with("idempotency-key", key);
    client.post(PATH, &json!({ "plan": plan, "phone": PHONE })).await
}

#[tokio::test]
async fn a_repeated_request_returns_its_order_unless_that_is_over() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let first = expect(201, with_key(&ada, "click-1", "premium").await);
    let id = order_id(&first);
    assert_eq!(expect(200, with_key(&ada, "click-1", "premium").await).json(), first.json());
    // Other keys, and none, continue it while it is open.
    assert_eq!(order_id(&expect(200, with_key(&ada, "click-2", "premium").await)), id);

    pay(&stack, &id);
    stack.clock.advance(Duration::from_secs(3));
    expect(200, ada.show(&id).await);
    let replay = expect(200, with_key(&ada, "click-1", "premium").await);
    assert_eq!((order_id(&replay), order_state(&replay)), (id, "paid".to_owned()));
    assert_eq!(replay.json()["checkout"], json!(null));

    let next = order_id(&expect(201, with_key(&ada, "click-3", "premium").await));
    expire(&stack, &next);
    expect(200, ada.show(&next).await);
    let another = expect(201, with_key(&ada, "click-3", "premium").await);
    assert_ne!(order_id(&another), next);

    // Keys are each user's own.
    expect(201, with_key(&eve, "click-1", "premium").await);
    assert_eq!(count(&stack, "select count(*) from orders").await, 4);
}

#[tokio::test]
async fn a_key_stands_for_one_plan() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let basic = "[[plan]]\nid = \"basic\"\nname = \"Basic\"\ncredits = 50\nevery = \"period\"\nprice_paise = 9_900\n\
        days = 30\ntiers = [\"free\"]\ncontext_tokens = 32_000\nmessage_bytes = 32_768\nchat_turns = 100\n\
        upload_mib = 5\nstored_mib = 100\nturns_per_minute = 10\nuploads_per_hour = 20\nkey_changes_per_day = 10\n\n";
    let premium = "[[plan]]\nid = \"premium\"";
    let ada = ada.sold(&stack, plans_with(premium, &format!("{basic}{premium}")));
    let first = order_id(&expect(201, with_key(&ada, "click-1", "premium").await));
    let reused = with_key(&ada, "click-1", "basic").await;
    assert_eq!(reused.refusal(), refused(422, "idempotency_key_reused"));
    // Another plan has an open order of its own.
    let second = expect(201, with_key(&ada, "click-2", "basic").await);
    assert_eq!(second.json()["order"]["price"]["amount"], "99.00");
    assert_eq!(order_id(&expect(200, ada.order().await)), first);
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for key in ["", "a\tb", &"x".repeat(256)] {
        let refusal = with_key(&ada, key, "premium").await;
        assert_eq!(refusal.refusal(), refused(422, "invalid_idempotency_key"), "{key:?}");
    }
    expect(201, with_key(&ada, &"x".repeat(255), "premium").await);
}
