//! The buyer's phone number, which is remembered only if the buyer wants that.

use serde_json::json;
use shared_core::billing::Phone;
use testkit::TestStack;

use crate::api::setup::{PHONE, User, at_provider, count, expect, expire, order_id, refused};

const OTHER: &str = "+919908734802";

#[tokio::test]
async fn a_phone_number_is_not_remembered_unless_its_owner_says_so() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let first = ada.ordered().await;
    assert_eq!(count(&stack, "select count(phone) from billing_contacts").await, 0);
    expire(&stack, &first);
    let without = json!({ "plan": "premium", "rememberPhone": true });
    assert_eq!(ada.post(without).await.refusal(), refused(422, "phone_needed"));
}

#[tokio::test]
async fn a_remembered_phone_number_is_encrypted_and_used_for_the_next_order() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    // As people write it.
    let body = json!({ "plan": "premium", "phone": " +91 99087-34802", "rememberPhone": true });
    let first = order_id(&expect(201, ada.post(body).await));
    assert_eq!(at_provider(&stack, &first).customer_phone, OTHER);
    let stored = stack.owner().await.query_one("select phone from billing_contacts", &[]).await;
    let stored: Vec<u8> = stored.unwrap().get(0);
    assert_eq!(stored.len(), 12 + Phone::parse(OTHER).unwrap().expose().len() + 16);
    assert!(!stored.windows(4).any(|bytes| OTHER.as_bytes().windows(4).any(|part| part == bytes)));

    // Another number is used once, and does not take its place.
    expire(&stack, &first);
    let second = ada.ordered().await;
    assert_eq!(at_provider(&stack, &second).customer_phone, PHONE);
    expire(&stack, &second);
    let third = order_id(&expect(201, ada.post(json!({ "plan": "premium" })).await));
    assert_eq!(at_provider(&stack, &third).customer_phone, OTHER);
    // It is hers alone.
    assert_eq!(
        eve.post(json!({ "plan": "premium" })).await.refusal(),
        refused(422, "phone_needed")
    );
}

#[tokio::test]
async fn a_phone_number_can_be_remembered_with_an_order_that_is_open() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let first = ada.ordered().await;
    let body = json!({ "plan": "premium", "phone": OTHER, "rememberPhone": true });
    assert_eq!(order_id(&expect(200, ada.post(body).await)), first);
    expire(&stack, &first);
    let second = order_id(&expect(201, ada.post(json!({ "plan": "premium" })).await));
    assert_eq!(at_provider(&stack, &second).customer_phone, OTHER);
}

#[tokio::test]
async fn a_remembered_phone_number_is_asked_for_again_when_the_providers_secret_is_replaced() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let body = json!({ "plan": "premium", "phone": OTHER, "rememberPhone": true });
    let first = order_id(&expect(201, ada.post(body.clone()).await));
    expire(&stack, &first);
    stack.cashfree.set_client_secret("cfsk_replaced");
    stack.set("CASHFREE_CLIENT_SECRET", "cfsk_replaced");
    let ada = ada.again(&stack);
    assert_eq!(
        ada.post(json!({ "plan": "premium" })).await.refusal(),
        refused(422, "phone_needed")
    );
    // What that attempt has left behind is completed.
    let second = order_id(&expect(200, ada.post(body).await));
    expire(&stack, &second);
    expect(201, ada.post(json!({ "plan": "premium" })).await);
}
