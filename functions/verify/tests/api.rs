//! `POST /api/auth/verify`, against a real cache and a real database.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use serde_json::json;
use shared_core::identity::{Code, Email};
use testkit::{Answer, Client, TestStack};
use verify::{Deps, app};

const ADDRESS: &str = "ada@example.com";

fn client(stack: &TestStack) -> Client {
    let (cache, codes, database) = (stack.cache(), stack.codes(), stack.database());
    Client::new(app(Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        cache,
        codes,
        database,
    }))
}

async fn issue(stack: &TestStack, code: &str) {
    let (email, code) = (Email::parse(ADDRESS).unwrap(), Code::parse(code).unwrap());
    stack.codes().issue(&email, &code, stack.clock.clock().now()).await.unwrap();
}

async fn enter(client: &Client, code: &str) -> Answer {
    client.post("/api/auth/verify", &json!({ "email": ADDRESS, "code": code })).await
}

#[tokio::test]
async fn a_right_code_creates_the_user_and_opens_a_session() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "123456").await;
    let answer = enter(&client, "123 456").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["user"]["email"], ADDRESS);
    let cookie = answer.header("set-cookie").unwrap();
    let (token, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=2592000");
    let token = token.strip_prefix("__Host-session=").unwrap();
    let session = stack.tokens().verify(token, stack.clock.clock().now()).unwrap();
    assert_eq!(session.user.to_string(), answer.json()["user"]["id"].as_str().unwrap());
    let user = stack.database();
    let user = user.request(&session, stack.clock.clock().now()).user().await.unwrap();
    assert_eq!(user.email, ADDRESS);
}

#[tokio::test]
async fn the_second_login_finds_the_same_user() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    let mut ids = Vec::new();
    for code in ["111111", "222222"] {
        issue(&stack, code).await;
        ids.push(enter(&client, code).await.json()["user"]["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    stack.until_count(2, "select count(*) from sessions").await;
}

#[tokio::test]
async fn a_code_works_once() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "123456").await;
    assert_eq!(enter(&client, "123456").await.status, 200);
    assert_eq!(enter(&client, "123456").await.refusal(), (401, "code_expired".into()));
}

#[tokio::test]
async fn a_race_of_two_requests_with_one_code_opens_one_session() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    for round in 0..10 {
        issue(&stack, "123456").await;
        let (left, right) = tokio::join!(enter(&client, "123456"), enter(&client, "123456"));
        let mut statuses = [left.status.as_u16(), right.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "round {round}");
    }
    stack.until_count(10, "select count(*) from sessions").await;
}

#[tokio::test]
async fn three_wrong_guesses_invalidate_the_code() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "123456").await;
    for left in [2, 1] {
        let wrong = enter(&client, "000000").await;
        assert_eq!(wrong.refusal(), (401, "code_wrong".into()));
        assert_eq!(wrong.json()["error"]["details"]["triesLeft"], left);
    }
    assert_eq!(enter(&client, "000000").await.refusal(), (401, "code_expired".into()));
    assert_eq!(enter(&client, "123456").await.refusal(), (401, "code_expired".into()));
    // The next code is valid, with its own guesses.
    issue(&stack, "654321").await;
    assert_eq!(enter(&client, "654321").await.status, 200);
}

#[tokio::test]
async fn a_code_expires_after_ten_minutes() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "123456").await;
    stack.clock.advance(Duration::from_mins(10));
    assert_eq!(enter(&client, "123456").await.refusal(), (401, "code_expired".into()));
    issue(&stack, "123456").await;
    stack.clock.advance(Duration::from_secs(599));
    assert_eq!(enter(&client, "123456").await.status, 200);
}

#[tokio::test]
async fn only_the_newest_code_counts() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "111111").await;
    issue(&stack, "222222").await;
    assert_eq!(enter(&client, "111111").await.refusal(), (401, "code_wrong".into()));
    assert_eq!(enter(&client, "222222").await.status, 200);
}

#[tokio::test]
async fn a_code_is_valid_for_its_own_address_only() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "123456").await;
    let other = client
        .post("/api/auth/verify", &json!({ "email": "eve@example.com", "code": "123456" }))
        .await;
    assert_eq!(other.refusal(), (401, "code_expired".into()));
}

#[tokio::test]
async fn guesses_from_one_source_are_limited_over_all_addresses() {
    let stack = TestStack::start().await;
    let client = client(&stack).from("203.0.113.7");
    for number in 0..60 {
        let body = json!({ "email": format!("user{number}@example.com"), "code": "000000" });
        assert_eq!(client.post("/api/auth/verify", &body).await.code(), "code_expired");
    }
    let refused =
        client.post("/api/auth/verify", &json!({ "email": ADDRESS, "code": "000000" })).await;
    assert_eq!(refused.refusal(), (429, "too_many_codes".into()));
    assert_eq!(refused.header("retry-after"), Some("3600"));
}

#[tokio::test]
async fn bad_input_is_refused_and_uses_up_no_guess() {
    let stack = TestStack::start().await;
    let client = client(&stack);
    issue(&stack, "123456").await;
    let send =
        async |body: &str| client.json("POST", "/api/auth/verify", body.to_owned()).await.refusal();
    assert_eq!(send("not json").await, (400, "malformed_json".into()));
    assert_eq!(send(r#"{"email":"ada@example.com"}"#).await, (422, "invalid_request".into()));
    assert_eq!(
        send(r#"{"email":"ada@example.com","code":123456}"#).await,
        (422, "invalid_request".into())
    );
    assert_eq!(
        send(r#"{"email":"ada@example.com","code":"12345"}"#).await,
        (422, "invalid_code".into())
    );
    assert_eq!(send(r#"{"email":"ada","code":"123456"}"#).await, (422, "invalid_email".into()));
    assert_eq!(send(&"[".repeat(3 * 1024 * 1024)).await, (413, "body_too_large".into()));
    let cross_site = client.clone().with("origin", "https://evil.example");
    assert_eq!(enter(&cross_site, "123456").await.refusal(), (403, "cross_site".into()));
    assert_eq!(enter(&client, "123456").await.status, 200);
}

#[tokio::test]
async fn a_right_code_is_still_valid_after_an_outage_of_postgres() {
    let mut stack = TestStack::start().await;
    issue(&stack, "123456").await;
    let available = client(&stack);
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    assert_eq!(enter(&client(&stack), "123456").await.refusal(), (503, "login_unavailable".into()));
    assert_eq!(enter(&available, "123456").await.status, 200);
}

#[tokio::test]
async fn without_the_cache_or_the_database_the_refusal_has_retry_after() {
    for variable in ["CACHE_URL", "DATABASE_URL"] {
        let mut stack = TestStack::start().await;
        issue(&stack, "123456").await;
        stack.set(
            variable,
            if variable == "CACHE_URL" {
                "redis://127.0.0.1:1"
            } else {
                "postgres://u@127.0.0.1:1/x"
            },
        );
        let answer = enter(&client(&stack), "123456").await;
        assert_eq!(answer.refusal(), (503, "login_unavailable".into()), "{variable}");
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
}
