//! A stored key: settings, spending, refusal and deletion.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::TestStack;

use crate::api::setup::{KEY, PATH, User, key_ending, refused};

#[tokio::test]
async fn settings_change_one_by_one_and_together() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let mut expected = ada.put_key(KEY).await.json();
    let sealed = ada.sealed(&stack).await;
    for (change, policy, cap) in [
        (json!({}), "fallback", Value::Null),
        (json!({ "policy": "always" }), "always", Value::Null),
        (json!({ "monthlyCapUsd": 19.99 }), "always", json!(19.99)),
        (json!({}), "always", json!(19.99)),
        (json!({ "policy": "fallback" }), "fallback", json!(19.99)),
        (json!({ "monthlyCapUsd": null }), "fallback", Value::Null),
        (json!({ "policy": "always", "monthlyCapUsd": 100_000 }), "always", json!(1e5)),
        (json!({ "policy": "fallback", "monthlyCapUsd": null }), "fallback", Value::Null),
    ] {
        stack.clock.advance(Duration::from_secs(1));
        let answer = ada.patch(change.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        expected["policy"] = json!(policy);
        expected["monthlyCapUsd"] = cap;
        // Nothing else changes: the key was not checked again.
        assert_eq!(answer.json(), expected, "{change}");
        assert_eq!(ada.get().await.json(), expected, "{change}");
    }
    assert!(ada.sealed(&stack).await == sealed);
}

#[tokio::test]
async fn a_bad_change_of_settings_changes_nothing() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let before = ada.put(json!({ "key": KEY, "monthlyCapUsd": 5 })).await.json();
    for (change, code) in [
        (json!({ "key": key_ending("other") }), "invalid_request"),
        (json!({ "policy": "always", "cap": 1 }), "invalid_request"),
        (json!({ "policy": "sometimes" }), "invalid_request"),
        (json!({ "policy": null }), "invalid_request"),
        (json!({ "policy": 7 }), "invalid_request"),
        (json!({ "monthlyCapUsd": "5" }), "invalid_request"),
        (json!({ "policy": "always", "monthlyCapUsd": 0 }), "invalid_cap"),
        (json!({ "policy": "always", "monthlyCapUsd": 1e6 }), "invalid_cap"),
        (json!([]), "invalid_request"),
    ] {
        let answer = ada.patch(change.clone()).await;
        assert_eq!(answer.refusal(), refused(422, code), "{change}");
        // A fixed message: serde's would quote the unexpected value, which may be a key.
        let message = answer.json()["error"]["message"].take();
        let message = message.as_str().unwrap();
        let fields =
            r#"an object with any of "policy", "always" or "fallback", and "monthlyCapUsd""#;
        assert_eq!(message.contains(fields), code == "invalid_request", "{change}: {message}");
    }
    let malformed = ada.client.json("PATCH", PATH, "{").await;
    assert_eq!(malformed.refusal(), refused(400, "malformed_json"));
    assert_eq!(ada.get().await.json(), before);
}

#[tokio::test]
async fn without_a_key_there_are_no_settings() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    assert_eq!(ada.get().await.refusal(), refused(404, "key_not_found"));
    for change in [json!({}), json!({ "policy": "always" }), json!({ "monthlyCapUsd": 5 })] {
        assert_eq!(ada.patch(change).await.refusal(), refused(404, "key_not_found"));
    }
}

#[tokio::test]
async fn deleting_a_key_is_permanent_and_idempotent() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put(json!({ "key": KEY, "policy": "always", "monthlyCapUsd": 5 })).await;
    for _ in 0..2 {
        let answer = ada.delete().await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        assert_eq!(ada.get().await.refusal(), refused(404, "key_not_found"));
        stack.until_count(0, "select count(*) from provider_keys").await;
    }
    // The next key gets the settings of a first one.
    let body = ada.put_key(KEY).await.json();
    assert_eq!((&body["policy"], &body["monthlyCapUsd"]), (&json!("fallback"), &Value::Null));
}

#[tokio::test]
async fn a_refused_key_is_shown_as_refused_until_it_is_replaced() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put_key(KEY).await;
    let at = stack.clock.now();
    let refuse = "update provider_keys set refused_at = $1";
    stack.owner().await.execute(refuse, &[&at]).await.unwrap();
    let shown = |body: Value| (body["status"].clone(), body["refusedAt"].clone());
    let refused = (json!("refused"), json!(at.to_string()));
    assert_eq!(shown(ada.get().await.json()), refused);
    assert_eq!(shown(ada.patch(json!({ "policy": "always" })).await.json()), refused);
    // A rejected replacement leaves it unchanged.
    ada.put_key(&key_ending("dead")).await;
    assert_eq!(shown(ada.get().await.json()), refused);

    let active = (json!("active"), Value::Null);
    assert_eq!(shown(ada.put_key(&key_ending("new")).await.json()), active);
    assert_eq!(shown(ada.get().await.json()), active);
}

#[tokio::test]
async fn the_spending_is_that_of_byok_turns_in_this_month() {
    let stack = TestStack::start().await;
    stack.clock.set("2031-05-31T23:59:59Z".parse().unwrap());
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let turn = "insert into turns (answer_id, user_id, chat_id, model, paid_by, plan, starts_at, credits, state, began_at)
                values ($1, $2, 'a-chat', 'fake/echo', $3::text, $4, $5, $6, 'open', $7)";
    let end = "select end_turn($1, $2, $3, 'settled', jsonb_build_object('cost_nano_usd', $4::bigint), null)";
    let owner = stack.owner().await;
    let now = stack.clock.now();
    let before = "2031-04-30T23:59:59Z".parse().unwrap();
    for (id, user, by_key, cost, at) in [
        ("one", &ada, true, 1_250_000_000_i64, now),
        ("two", &ada, true, 5_000, now),
        ("last-month", &ada, true, 7_000_000_000, before),
        ("by-credits", &ada, false, 9_000_000_000, now),
        ("eves", &eve, true, 11_000_000_000, now),
    ] {
        let (paid_by, plan) = if by_key { ("byok", None) } else { ("credits", Some("free")) };
        let (starts_at, credits) = (plan.map(|_| at), i32::from(!by_key));
        let id: &str = id;
        let user = user.session.user.0;
        owner
            .execute(turn, &[&id, &user, &paid_by, &plan, &starts_at, &credits, &at])
            .await
            .unwrap();
        owner.execute(end, &[&user, &id, &now, &cost]).await.unwrap();
    }
    let spent = json!(1.250_005);
    assert_eq!(ada.put_key(KEY).await.json()["spentThisMonthUsd"], spent);
    assert_eq!(ada.get().await.json()["spentThisMonthUsd"], spent);
    assert_eq!(ada.patch(json!({})).await.json()["spentThisMonthUsd"], spent);
    stack.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.get().await.json()["spentThisMonthUsd"], 0.0);
}
