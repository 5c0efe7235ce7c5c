//! Keys and requests that are rejected.

use axum::body::Body;
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{Client, TestStack};

use crate::api::setup::{KEY, PATH, User, deps, key_ending, refused};

#[tokio::test]
async fn a_key_that_openrouter_does_not_accept_changes_nothing() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    ada.put(json!({ "key": KEY, "policy": "always", "monthlyCapUsd": 5 })).await;
    let before = ada.get().await.json();
    let cases = [
        ("dead", 422, "key_unknown", None, "make a new one"),
        ("managed", 422, "invalid_key", None, "management key"),
        ("expired", 422, "invalid_key", None, "expired"),
        ("busy", 429, "key_busy", Some("2"), "try again in 2 s"),
        ("down", 503, "key_check_unavailable", Some("5"), "nothing was changed"),
        ("slow", 503, "key_check_unavailable", Some("5"), "nothing was changed"),
    ];
    join_all(cases.map(async |(end, status, code, retry_after, words)| {
        let body = json!({ "key": key_ending(end), "policy": "fallback", "monthlyCapUsd": null });
        let (adas, eves) = tokio::join!(ada.put(body.clone()), eve.put(body));
        for answer in [adas, eves] {
            assert_eq!(answer.refusal(), refused(status, code), "{end}");
            assert_eq!(answer.header("retry-after"), retry_after, "{end}");
            assert!(answer.body.contains(words), "{end}: {}", answer.body);
            // The attempt has counted against the rate limit.
            assert_eq!(answer.header("ratelimit-limit"), Some("10"), "{end}");
        }
    }))
    .await;
    assert_eq!(ada.get().await.json(), before);
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
    assert_eq!(eve.get().await.refusal(), refused(404, "key_not_found"));
    stack.until_count(1, "select count(*) from provider_keys").await;
}

#[tokio::test]
async fn a_bad_request_changes_nothing_and_does_not_count() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let malformed = async |body: &str| ada.client.json("PUT", PATH, body.to_owned()).await;
    for (body, status, code) in [
        ("", 400, "malformed_json"),
        ("{", 400, "malformed_json"),
        ("{\"key\":\"\u{1}\"}", 400, "malformed_json"),
        (r#"{"key":"sk-or-v1-c0ffee-mine","monthlyCapUsd":1e999}"#, 422, "invalid_request"),
        ("[]", 422, "invalid_request"),
        ("null", 422, "invalid_request"),
        (r#""sk-or-v1-c0ffee-mine""#, 422, "invalid_request"),
        (&" ".repeat(9000), 413, "body_too_large"),
    ] {
        assert_eq!(malformed(body).await.refusal(), refused(status, code), "{body}");
    }
    let with = |field: &str, value: Value| {
        let mut body = json!({ "key": KEY });
        body[field] = value;
        body
    };
    for (body, code) in [
        (json!({}), "invalid_request"),
        (json!({ "policy": "always" }), "invalid_request"),
        (with("key", json!(7)), "invalid_request"),
        (with("key", Value::Null), "invalid_request"),
        (with("key", json!({ "key": KEY })), "invalid_request"),
        (with("apiKey", json!("x")), "invalid_request"),
        (with("policy", json!("after_credits")), "invalid_request"),
        (with("policy", json!("never")), "invalid_request"),
        (with("policy", Value::Null), "invalid_request"),
        (with("policy", json!(7)), "invalid_request"),
        (with("monthlyCapUsd", json!("20")), "invalid_request"),
        (with("monthlyCapUsd", json!(true)), "invalid_request"),
        (with("monthlyCapUsd", json!(0)), "invalid_cap"),
        (with("monthlyCapUsd", json!(0.009)), "invalid_cap"),
        (with("monthlyCapUsd", json!(-1)), "invalid_cap"),
        (with("monthlyCapUsd", json!(100_000.01)), "invalid_cap"),
        (json!({ "key": "" }), "invalid_key"),
        (json!({ "key": "sk-proj-c0ffee-mine" }), "invalid_key"),
        (json!({ "key": "sk-or-v1-c0ffee mine" }), "invalid_key"),
        (json!({ "key": "sk-or-v1-c0ffee\r\nx-evil: 1" }), "invalid_key"),
        (json!({ "key": key_ending(&"x".repeat(300)) }), "invalid_key"),
    ] {
        assert_eq!(ada.put(body.clone()).await.refusal(), refused(422, code), "{body}");
    }
    let form = ada.client.request("PUT", PATH, Body::from(format!("key={KEY}")));
    let form = ada.client.send(form).await;
    assert_eq!(form.refusal(), refused(415, "unsupported_media_type"));
    let forged = ada.client.clone().with("sec-fetch-site", "cross-site");
    let forged = forged.json("PUT", PATH, json!({ "key": KEY }).to_string()).await;
    assert_eq!(forged.refusal(), refused(403, "cross_site"));

    assert_eq!(ada.get().await.refusal(), refused(404, "key_not_found"));
    assert_eq!(ada.put_key(KEY).await.header("ratelimit-remaining"), Some("9"));
}

/// Calls each route once, as this client.
async fn all_routes(client: Client) -> Vec<(u16, String)> {
    let mut refusals = Vec::new();
    for (method, body) in [
        ("GET", Value::Null),
        ("PUT", json!({ "key": KEY })),
        ("PATCH", json!({ "policy": "always" })),
        ("DELETE", Value::Null),
    ] {
        refusals.push(client.json(method, PATH, body.to_string()).await.refusal());
    }
    refusals
}

#[tokio::test]
async fn without_a_live_session_there_is_no_key_to_see_or_to_change() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put_key(KEY).await;
    let anonymous = Client::new(keys::app(deps(&stack)));
    assert_eq!(all_routes(anonymous).await, vec![refused(401, "unauthenticated"); 4]);

    let elsewhere = User::new(&stack, "ada").await;
    let database = stack.database();
    database.request(&elsewhere.session, stack.clock.now()).log_out().await.unwrap();
    assert_eq!(all_routes(elsewhere.client).await, vec![refused(401, "session_ended"); 4]);

    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
    assert_eq!(ada.get().await.json()["policy"], "fallback");
}

#[tokio::test]
async fn another_users_key_cannot_be_read_or_changed() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    ada.put_key(KEY).await;
    let before = (ada.get().await.json(), ada.sealed(&stack).await.unwrap());

    assert_eq!(eve.get().await.refusal(), refused(404, "key_not_found"));
    let cap = eve.patch(json!({ "monthlyCapUsd": 1000 })).await;
    assert_eq!(cap.refusal(), refused(404, "key_not_found"));
    assert_eq!(eve.put_key(&key_ending("eves")).await.status, 200);
    eve.patch(json!({ "policy": "always" })).await;
    assert_eq!(eve.delete().await.status, 204);

    let after = (ada.get().await.json(), ada.sealed(&stack).await.unwrap());
    assert!(before == after, "{} {}", before.0, after.0);
}
