//! Requests that are refused.

use axum::body::Body;
use serde_json::{Value, json};
use testkit::{Client, TestStack};

use crate::api::setup::{PATH, PHONE, User, count, deps, expect, refused};

#[tokio::test]
async fn a_bad_request_orders_nothing() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for (body, status, code) in [
        ("", 400, "malformed_json"),
        ("{", 400, "malformed_json"),
        (r#"{"plan":"premium"} {}"#, 400, "malformed_json"),
        ("[]", 422, "invalid_request"),
        (r#"["premium","9908734801"]"#, 422, "invalid_request"),
        ("null", 422, "invalid_request"),
        (r#""premium""#, 422, "invalid_request"),
        (&" ".repeat(8193), 413, "body_too_large"),
    ] {
        let answer = ada.client.json("POST", PATH, body.to_owned()).await;
        assert_eq!(answer.refusal(), refused(status, code), "{body}");
    }
    let with = |field: &str, value: Value| {
        let mut body = json!({ "plan": "premium", "phone": PHONE });
        body[field] = value;
        body
    };
    for (body, status, code) in [
        (json!({}), 422, "invalid_request"),
        (json!({ "phone": PHONE }), 422, "invalid_request"),
        (with("plan", json!(7)), 422, "invalid_request"),
        (with("plan", Value::Null), 422, "invalid_request"),
        (with("rememberPhone", json!("yes")), 422, "invalid_request"),
        (with("price", json!("1.00")), 422, "invalid_request"),
        (with("plan", json!("gold")), 404, "plan_unknown"),
        (with("plan", json!("PREMIUM")), 404, "plan_unknown"),
        (with("plan", json!("")), 404, "plan_unknown"),
        (with("plan", json!("x".repeat(100))), 404, "plan_unknown"),
        (with("plan", json!("free")), 422, "plan_not_for_sale"),
        (with("phone", json!("")), 422, "invalid_phone"),
        (with("phone", json!("990873480")), 422, "invalid_phone"),
        (with("phone", json!("+1234567")), 422, "invalid_phone"),
        (with("phone", json!("990873480a")), 422, "invalid_phone"),
        (json!({ "plan": "premium" }), 422, "phone_needed"),
        (with("phone", Value::Null), 422, "phone_needed"),
    ] {
        assert_eq!(ada.post(body.clone()).await.refusal(), refused(status, code), "{body}");
    }
    let form = ada.client.request("POST", PATH, Body::from("plan=premium"));
    let form = ada.client.send(form).await;
    assert_eq!(form.refusal(), refused(415, "unsupported_media_type"));
    let forged = ada.client.clone().with("sec-fetch-site", "cross-site");
    let forged = forged.post(PATH, &with("plan", json!("premium"))).await;
    assert_eq!(forged.refusal(), refused(403, "cross_site"));

    assert_eq!(count(&stack, "select count(*) from orders").await, 0);
    assert!(stack.cashfree.requests().is_empty());
}

#[tokio::test]
async fn a_misplaced_phone_number_is_not_echoed() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let number: Value = serde_json::from_str(PHONE).unwrap();
    for body in [
        json!(PHONE),
        json!({ "plan": "premium", "phone": number }),
        json!({ "plan": "premium", "phone": { PHONE: 1 } }),
        json!({ "plan": "premium", PHONE: true }),
        json!({ "plan": number }),
        json!({ "plan": "premium", "rememberPhone": PHONE }),
        json!({ "plan": "premium", "phone": format!("{PHONE}{PHONE}") }),
    ] {
        let answer = expect(422, ada.post(body).await);
        assert!(!answer.body.contains(PHONE), "{}", answer.body);
    }
    let words = ada.post(json!({ "plan": "premium", "phone": number })).await.body;
    assert!(words.contains("phone") && words.contains("rememberPhone"), "{words}");
}

/// Calls each route that needs a session once.
async fn private_routes(client: &Client, id: &str) -> Vec<(u16, String)> {
    let body = json!({ "plan": "premium", "phone": PHONE });
    vec![
        client.post(PATH, &body).await.refusal(),
        client.get(PATH).await.refusal(),
        client.get(&format!("{PATH}/{id}")).await.refusal(),
    ]
}

#[tokio::test]
async fn without_a_live_session_nothing_can_be_ordered_or_seen() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    let asked = stack.cashfree.requests().len();
    let anonymous = Client::new(orders::app(deps(&stack)));
    assert_eq!(private_routes(&anonymous, &id).await, vec![refused(401, "unauthenticated"); 3]);

    let elsewhere = User::new(&stack, "ada").await;
    let database = stack.database();
    database.request(&elsewhere.session, stack.clock.now()).log_out().await.unwrap();
    let ended = private_routes(&elsewhere.client, &id).await;
    assert_eq!(ended, vec![refused(401, "session_ended"); 3]);
    assert_eq!(stack.cashfree.requests().len(), asked);
}
