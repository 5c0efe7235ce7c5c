//! The account routes, against a real database; and every way in which a session token is invalid.

use std::time::Duration;

use account::{Deps, HealthCheck, app};
use axum::body::Body;
use fake_aws::{FakeAws, Trouble};
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared_core::identity::Session;
use testkit::{Client, ORIGIN, TestStack};

fn client(stack: &TestStack) -> Client {
    let clock = stack.app_context().clock().clone();
    let health_check = HealthCheck::new(stack.database(), stack.cache(), stack.serverless(), clock);
    Client::new(app(Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        database: stack.database(),
        plans: stack.plans(),
        health_check,
    }))
}

async fn ada(stack: &TestStack) -> (Session, Client) {
    let session = stack.session("ada@example.com").await;
    (session, client(stack).signed_in(&stack.cookie(&session)))
}

#[tokio::test]
async fn me_returns_the_logged_in_user() {
    let stack = TestStack::start().await;
    let (session, client) = ada(&stack).await;
    let me = client.get("/api/me").await;
    assert_eq!(me.status, 200);
    assert_eq!(me.json()["id"], session.user.to_string());
    assert_eq!(
        (&me.json()["email"], &me.json()["name"]),
        (&json!("ada@example.com"), &Value::Null)
    );
    assert_eq!(me.header("cache-control"), Some("no-store"));
    assert!(me.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_display_name_can_be_set_and_removed() {
    let stack = TestStack::start().await;
    let (_, client) = ada(&stack).await;
    let change = async |body: Value| client.patch("/api/me", &body).await.json()["name"].clone();
    assert_eq!(change(json!({ "name": " Ada " })).await, "Ada");
    assert_eq!(change(json!({})).await, "Ada");
    assert_eq!(client.get("/api/me").await.json()["name"], "Ada");
    assert_eq!(change(json!({ "name": null })).await, Value::Null);
}

#[tokio::test]
async fn a_bad_change_changes_nothing() {
    let stack = TestStack::start().await;
    let (_, client) = ada(&stack).await;
    client.patch("/api/me", &json!({ "name": "Ada" })).await;
    for (body, code) in [
        (json!({ "name": "" }), "invalid_name"),
        (json!({ "name": "x".repeat(101) }), "invalid_name"),
        (json!({ "name": "a\u{0}b" }), "invalid_name"),
        (json!({ "name": 7 }), "invalid_request"),
        (json!({ "email": "eve@example.com" }), "invalid_request"),
        (json!([]), "invalid_request"),
    ] {
        assert_eq!(client.patch("/api/me", &body).await.refusal(), (422, code.into()), "{body}");
    }
    assert_eq!(
        client.json("PATCH", "/api/me", "{").await.refusal(),
        (400, "malformed_json".into())
    );
    let cross_site = client.clone().with("sec-fetch-site", "same-site");
    assert_eq!(
        cross_site.patch("/api/me", &json!({ "name": "Eve" })).await.refusal(),
        (403, "cross_site".into())
    );
    assert_eq!(client.get("/api/me").await.json()["name"], "Ada");
}

#[tokio::test]
async fn sessions_are_listed_newest_first_page_by_page_and_only_the_users_own() {
    let stack = TestStack::start().await;
    stack.session("eve@example.com").await;
    for _ in 0..4 {
        stack.session("ada@example.com").await;
        stack.clock.advance(Duration::from_secs(1));
    }
    let (session, client) = ada(&stack).await;
    let first = client.get("/api/me/sessions?limit=3").await.json();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = client.get(&format!("/api/me/sessions?limit=3&cursor={cursor}")).await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    assert_eq!(second["items"].as_array().unwrap().len(), 2);
    assert_eq!(second["nextCursor"], Value::Null);
    assert_eq!(first["items"][0]["id"], session.id.to_string());
    assert_eq!(
        (&first["items"][0]["current"], &first["items"][1]["current"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(first["items"][0]["userAgent"], "test");

    let bad = client.get("/api/me/sessions?cursor=nonsense").await;
    assert_eq!(bad.refusal(), (422, "invalid_cursor".into()));
    for (query, words) in [
        ("limit=many", "limit: from 1 to 100"),
        ("limit=0", "limit: from 1 to 100"),
        ("limit=101", "limit: from 1 to 100"),
        ("limit=1&limit=2", "limit and cursor: each once"),
    ] {
        let bad = client.get(&format!("/api/me/sessions?{query}")).await;
        assert_eq!(bad.refusal(), (422, "invalid_request".into()), "{query}");
        assert_eq!(bad.json()["error"]["message"], words, "{query}");
    }
}

#[tokio::test]
async fn logging_out_ends_this_session_for_good() {
    let stack = TestStack::start().await;
    let (_, client) = ada(&stack).await;
    let (_, other) = ada(&stack).await;
    let answer = client.send(client.request("POST", "/api/auth/logout", Body::empty())).await;
    assert_eq!(answer.status, 204);
    let cookie = answer.header("set-cookie").unwrap();
    assert_eq!(cookie, "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    // The token is still valid; the session has ended.
    assert_eq!(client.get("/api/me").await.refusal(), (401, "session_ended".into()));
    assert_eq!(
        client.post("/api/auth/logout", &json!({})).await.refusal(),
        (401, "session_ended".into())
    );
    assert_eq!(other.get("/api/me").await.status, 200);
    assert_eq!(other.get("/api/me/sessions").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn logging_out_everywhere_ends_all_sessions_of_this_user_only() {
    let stack = TestStack::start().await;
    let (_, client) = ada(&stack).await;
    let (_, other) = ada(&stack).await;
    let eve = stack.session("eve@example.com").await;
    let eve = self::client(&stack).signed_in(&stack.cookie(&eve));
    assert_eq!(client.post("/api/auth/logout", &json!({ "all": true })).await.status, 204);
    assert_eq!(client.get("/api/me").await.refusal(), (401, "session_ended".into()));
    assert_eq!(other.get("/api/me").await.refusal(), (401, "session_ended".into()));
    assert_eq!(eve.get("/api/me").await.status, 200);
}

#[tokio::test]
async fn a_cross_site_request_cannot_log_a_user_out() {
    let stack = TestStack::start().await;
    let (_, client) = ada(&stack).await;
    let forged = client.clone().with("sec-fetch-site", "cross-site");
    let answer = forged.send(forged.request("POST", "/api/auth/logout", Body::empty())).await;
    assert_eq!(answer.refusal(), (403, "cross_site".into()));
    let ours = client.clone().with("origin", ORIGIN).with("sec-fetch-site", "same-origin");
    assert_eq!(ours.get("/api/me").await.status, 200);
    let not_json = ours.request("POST", "/api/auth/logout", Body::from("all=true"));
    assert_eq!(ours.send(not_json).await.refusal(), (415, "unsupported_media_type".into()));
}

#[tokio::test]
async fn a_forged_session_token_is_unauthenticated() {
    let mut stack = TestStack::start().await;
    let (session, genuine) = ada(&stack).await;
    let cookie = stack.cookie(&session);
    let token = cookie.strip_prefix("__Host-session=").unwrap();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();

    // {"alg":"none"…} and {"alg":"HS384"…}, both with our key's id.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoidGVzdCJ9";
    let hs384 = "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6InRlc3QifQ";
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{hs384}.{claims}.{signature}"),
        format!("{header}.{claims}.{flipped}{}", &signature[1..]),
        format!("{header}.{claims}"),
        "garbage".to_owned(),
        String::new(),
    ];
    for token in forged {
        let client = client(&stack).signed_in(&format!("__Host-session={token}"));
        assert_eq!(
            client.get("/api/me").await.refusal(),
            (401, "unauthenticated".into()),
            "{token}"
        );
    }
    let client_without = client(&stack);
    assert_eq!(client_without.get("/api/me").await.refusal(), (401, "unauthenticated".into()));
    for path in ["/api/me/sessions", "/api/auth/logout"] {
        let method = if path.ends_with("logout") { "POST" } else { "GET" };
        let answer = client_without.send(client_without.request(method, path, Body::empty())).await;
        assert_eq!(answer.refusal(), (401, "unauthenticated".into()), "{path}");
    }

    // Signed with our secret for another origin.
    stack.set("APP_ORIGIN", "https://other.example.com");
    let foreign = stack.cookie(&session);
    stack.set("APP_ORIGIN", ORIGIN);
    let client = client(&stack).signed_in(&foreign);
    assert_eq!(client.get("/api/me").await.refusal(), (401, "unauthenticated".into()));
    assert_eq!(genuine.get("/api/me").await.status, 200);
}

#[tokio::test]
async fn key_rotation_of_session_tokens_logs_no_user_out() {
    let mut stack = TestStack::start().await;
    let session = stack.session("ada@example.com").await;
    let old = stack.cookie(&session);
    let (old_key, new_key) =
        ("test:0123456789abcdef0123456789abcdef", "new:fedcba9876543210fedcba9876543210");
    stack.set("SESSION_KEYS", format!("{new_key},{old_key}"));
    let new = stack.cookie(&session);
    assert_ne!(old, new);
    for cookie in [&old, &new] {
        assert_eq!(client(&stack).signed_in(cookie).get("/api/me").await.status, 200);
    }
    // Once the old key is removed from the ring, its tokens are invalid.
    stack.set("SESSION_KEYS", new_key);
    assert_eq!(
        client(&stack).signed_in(&old).get("/api/me").await.refusal(),
        (401, "unauthenticated".into())
    );
    assert_eq!(client(&stack).signed_in(&new).get("/api/me").await.status, 200);
}

#[tokio::test]
async fn a_token_ends_after_thirty_days() {
    let stack = TestStack::start().await;
    let (_, client) = ada(&stack).await;
    stack.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(client.get("/api/me").await.refusal(), (401, "session_ended".into()));
}

#[tokio::test]
async fn without_the_database_it_answers_503_with_retry_after() {
    let mut stack = TestStack::start().await;
    let session = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&session);
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let answer = client(&stack).signed_in(&cookie).get("/api/me").await;
    assert_eq!(answer.refusal(), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn the_api_document_is_served() {
    let stack = TestStack::start().await;
    let document = client(&stack).get("/api/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert!(document.json()["paths"]["/api/chat"]["post"].is_object());
}

#[tokio::test]
async fn liveness_is_answered_without_querying_any_backend() {
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", "postgres://app_user@127.0.0.1:1/chat");
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let answer = client(&stack).get("/api/health").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("ok")));
}

#[tokio::test]
async fn readiness_reports_the_state_of_each_backend() {
    let mut stack = TestStack::start().await;
    let ready = client(&stack).get("/api/health/ready").await;
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.json(),
        json!({ "status": "ready", "postgres": "up", "cache": { "reachable": "up", "aws": null } })
    );

    let cache = stack.variables().into_iter().find(|(name, _)| *name == "CACHE_URL").unwrap().1;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let degraded = client(&stack).get("/api/health/ready").await;
    assert_eq!((degraded.status.as_u16(), &degraded.json()["status"]), (200, &json!("degraded")));

    stack.set("CACHE_URL", cache);
    stack.set("DATABASE_URL", "postgres://app_user@127.0.0.1:1/chat");
    let unavailable = client(&stack).get("/api/health/ready").await;
    assert_eq!(unavailable.status, 503);
    assert_eq!(unavailable.header("retry-after"), Some("5"));
    assert_eq!(unavailable.json()["postgres"], "down");
    assert_eq!(unavailable.json()["cache"]["reachable"], "up");
}

#[tokio::test]
async fn concurrent_readiness_checks_are_one_request_to_aws() {
    let aws = FakeAws::start().await.unwrap();
    aws.put_cache("chat", "available", ("chat.example", 6379));
    let mut stack = TestStack::start().await;
    for (name, value) in aws.variables() {
        stack.set(name, value);
    }
    stack.set("CACHE_NAME", "chat");
    let client = client(&stack);
    // Slow enough for all requests to arrive before the first has its response.
    aws.script(1, &Trouble::Slow(std::time::Duration::from_millis(300)));
    for answer in join_all((0..20).map(|_| client.get("/api/health/ready"))).await {
        let report = answer.json();
        assert_eq!(report["cache"]["aws"]["status"], "available");
        assert_eq!(report["cache"]["aws"]["endpoint"], "chat.example:6379");
    }
    assert_eq!(aws.calls().len(), 1);
    // A report is cached for five seconds.
    stack.clock.advance(std::time::Duration::from_secs(5));
    aws.script(1, &Trouble::Denied);
    let report = client.get("/api/health/ready").await.json();
    assert_eq!((&report["status"], &report["cache"]["aws"]), (&json!("ready"), &json!(null)));
    assert_eq!(aws.calls().len(), 2);
}
