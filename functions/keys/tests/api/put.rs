//! Keys that are accepted and stored.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared_vault::VaultError;
use testkit::TestStack;

use crate::api::setup::{KEY, User, key_ending};

#[tokio::test]
async fn a_key_is_stored_and_shown_without_the_key() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let put = ada.put_key(&format!(" {KEY}\n")).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let expected = json!({
        "masked": "sk-or-...mine",
        "policy": "fallback",
        "monthlyCapUsd": null,
        "spentThisMonthUsd": 0.0,
        "label": "sk-or-v1-c0f...mine",
        "limit": 100.0,
        "limitRemaining": 74.5,
        "usage": 25.5,
        "expiresAt": null,
        "checkedAt": stack.clock.now().to_string(),
        "status": "active",
        "refusedAt": null,
    });
    assert_eq!(put.json(), expected);
    assert_eq!(ada.get().await.json(), expected);
    assert_eq!(put.header("cache-control"), Some("no-store"));
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
}

#[tokio::test]
async fn a_stored_key_can_be_decrypted_for_its_owner_only() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    ada.put_key(KEY).await;
    eve.put_key(&key_ending("eves")).await;
    // Eve's row with Ada's key in it, as an attacker with write access to the database could make it.
    let swap = "update provider_keys eves
                   set (nonce, ciphertext) = (select nonce, ciphertext from provider_keys where user_id = $1)
                 where user_id = $2";
    let owner = stack.owner().await;
    assert_eq!(owner.execute(swap, &[&ada.session.user.0, &eve.session.user.0]).await.unwrap(), 1);
    let (data_key, sealed) = eve.sealed(&stack).await.unwrap();
    let opened = stack.vault().open(&data_key, eve.session.user, &sealed).await;
    assert!(matches!(opened, Err(VaultError::Forged)), "{opened:?}");
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
}

#[tokio::test]
async fn a_replaced_key_keeps_its_settings_unless_they_are_given() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let settings = async |body: Value| {
        let answer = ada.put(body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        assert_eq!(ada.get().await.json(), body);
        (body["policy"].clone(), body["monthlyCapUsd"].clone())
    };
    let other = key_ending("other");
    for (body, expected) in [
        (
            json!({ "key": KEY, "policy": "always", "monthlyCapUsd": 20 }),
            (json!("always"), json!(20.0)),
        ),
        (json!({ "key": other }), (json!("always"), json!(20.0))),
        (json!({ "key": KEY, "policy": "fallback" }), (json!("fallback"), json!(20.0))),
        (json!({ "key": KEY, "monthlyCapUsd": 0.01 }), (json!("fallback"), json!(0.01))),
        (json!({ "key": other, "monthlyCapUsd": null }), (json!("fallback"), json!(null))),
    ] {
        assert_eq!(settings(body.clone()).await, expected, "{body}");
    }
    assert_eq!(ada.stored(&stack).await, Some(other));
    stack.until_count(1, "select count(*) from provider_keys").await;
}

#[tokio::test]
async fn a_key_with_nothing_left_to_spend_is_stored() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let body = ada.put_key(&key_ending("poor")).await.json();
    assert_eq!((&body["limitRemaining"], &body["usage"]), (&json!(0.0), &json!(100.0)));
    assert_eq!(ada.stored(&stack).await, Some(key_ending("poor")));
}

#[tokio::test]
async fn duplicate_requests_at_once_store_one_key() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let (left, right) = tokio::join!(ada.put_key(KEY), ada.put_key(KEY));
    assert_eq!((left.status.as_u16(), right.status.as_u16()), (200, 200));
    assert_eq!(left.json(), right.json());
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
    stack.until_count(1, "select count(*) from provider_keys").await;
}

#[tokio::test]
async fn first_keys_of_many_users_in_a_race_share_one_data_key() {
    let stack = TestStack::start().await;
    let names = (0..8).map(|number| format!("user{number}"));
    // Each in a function instance of its own, so that no two share a vault's data key.
    let users: Vec<User> = join_all(names.map(async |name| User::new(&stack, &name).await)).await;
    let keys: Vec<String> = (0..8).map(|number| key_ending(&format!("of-{number}"))).collect();
    let answers = join_all(users.iter().zip(&keys).map(|(user, key)| user.put_key(key))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    stack.until_count(1, "select count(*) from data_keys").await;
    for (user, key) in users.iter().zip(keys) {
        assert_eq!(user.stored(&stack).await, Some(key));
    }
}

#[tokio::test]
async fn replacing_a_key_overwrites_its_ciphertext() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put_key(KEY).await;
    let before = ada.sealed(&stack).await.unwrap();
    stack.clock.advance(Duration::from_mins(1));
    let put = ada.put_key(KEY).await.json();
    let after = ada.sealed(&stack).await.unwrap();
    // The same key under the same data key, and yet another nonce and ciphertext.
    assert_eq!(before.0, after.0);
    assert!(before.1.nonce != after.1.nonce && before.1.ciphertext != after.1.ciphertext);
    assert_eq!(put["checkedAt"], stack.clock.now().to_string());
}
