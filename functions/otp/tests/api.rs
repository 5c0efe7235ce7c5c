//! `POST /api/auth/otp`, against a real cache.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use otp::{Deps, app};
use serde_json::json;
use testkit::{Client, Mailbox, TestStack, event};

fn client(stack: &TestStack, mailbox: &Mailbox) -> Client {
    let mailer = Arc::new(mailbox.clone());
    Client::new(app(Deps {
        app: stack.app_context(),
        cache: stack.cache(),
        codes: stack.codes(),
        mailer,
    }))
}

async fn started() -> (TestStack, Mailbox, Client) {
    let (stack, mailbox) = (TestStack::start().await, Mailbox::default());
    let client = client(&stack, &mailbox);
    (stack, mailbox, client)
}

#[tokio::test]
async fn a_code_is_sent_and_the_answer_says_how_long_it_lasts() {
    let (_stack, mailbox, client) = started().await;
    let answer = client.post("/api/auth/otp", &json!({ "email": " Ada@Example.com" })).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json(), json!({ "expiresIn": 600, "retryAfter": 30 }));
    let [mail] = mailbox.mails().try_into().unwrap();
    assert_eq!(mail.to.as_str(), "ada@example.com");
    assert!(
        mail.subject().contains(mail.code.as_str()) && mail.text().contains(mail.code.as_str())
    );
}

#[tokio::test]
async fn the_answer_is_the_same_for_known_and_unknown_addresses_and_creates_no_user() {
    let (stack, _mailbox, client) = started().await;
    stack.session("known@example.com").await;
    let known = client.post("/api/auth/otp", &json!({ "email": "known@example.com" })).await;
    let unknown = client.post("/api/auth/otp", &json!({ "email": "unknown@example.com" })).await;
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
    stack.until_count(1, "select count(*) from users").await;
}

#[tokio::test]
async fn a_thousand_requests_for_one_address_send_one_mail_then_five_an_hour_and_twenty_a_day() {
    let (stack, mailbox, client) = started().await;
    // Each from its own source, so that no source reaches its limit.
    let ask = async |number: u32| {
        let client = client.clone().from(&format!("203.0.{}.{}", number / 256, number % 256));
        client.post("/api/auth/otp", &json!({ "email": "ada@example.com" })).await
    };
    for number in 0..1000 {
        ask(number).await;
    }
    assert_eq!(mailbox.mails().len(), 1);
    let refused = ask(1000).await;
    assert_eq!(refused.refusal(), (429, "too_many_codes".into()));
    assert_eq!(refused.header("retry-after"), Some("30"));

    for number in 0..60 {
        stack.clock.advance(Duration::from_secs(30));
        ask(number).await;
    }
    assert_eq!(mailbox.mails().len(), 5);
    for number in 0..23 * 2 {
        stack.clock.advance(Duration::from_mins(30));
        ask(number).await;
    }
    assert_eq!(mailbox.mails().len(), 20);
}

#[tokio::test]
async fn one_source_gets_thirty_codes_an_hour_whatever_its_forged_headers_say() {
    let (_stack, mailbox, client) = started().await;
    for number in 0..1000 {
        let forged = client
            .clone()
            .from("203.0.113.7")
            .with("x-forwarded-for", &format!("198.51.{}.{}", number / 256, number % 256));
        forged
            .post("/api/auth/otp", &json!({ "email": format!("user{number}@example.com") }))
            .await;
    }
    assert_eq!(mailbox.mails().len(), 30);
    // Another source is not limited by it.
    let other = client
        .from("203.0.113.8")
        .post("/api/auth/otp", &json!({ "email": "bob@example.com" }))
        .await;
    assert_eq!(other.status, 202);
}

#[tokio::test]
async fn a_source_over_its_limit_does_not_use_up_the_limit_of_an_address() {
    let (_stack, mailbox, client) = started().await;
    let (attacker, owner) = (client.clone().from("203.0.113.7"), client.from("203.0.113.8"));
    for number in 0..30 {
        attacker
            .post("/api/auth/otp", &json!({ "email": format!("user{number}@example.com") }))
            .await;
    }
    let victim = json!({ "email": "victim@example.com" });
    assert_eq!(attacker.post("/api/auth/otp", &victim).await.code(), "too_many_codes");
    assert_eq!(owner.post("/api/auth/otp", &victim).await.status, 202);
    assert_eq!(mailbox.mails().len(), 31);
}

#[tokio::test]
async fn the_source_is_the_gateways_and_not_the_forwarded_for_header() {
    let (_stack, mailbox, client) = started().await;
    for number in 0..40 {
        let (mut parts, _) = event("otp-forged-forwarded-for").into_parts();
        let forged = format!("198.51.100.{number}");
        parts.headers.insert("x-forwarded-for", forged.parse().unwrap());
        let body = json!({ "email": format!("user{number}@example.com") });
        client.send(Request::from_parts(parts, Body::from(body.to_string()))).await;
    }
    assert_eq!(mailbox.mails().len(), 30);
}

const DISTRIBUTION: &str = "the-distributions-secret-0123456789";

#[tokio::test]
async fn behind_the_distribution_the_client_ip_is_its_viewer_address() {
    let (mut stack, mailbox, _) = started().await;
    stack.set("ORIGIN_SECRET", DISTRIBUTION);
    let client = client(&stack, &mailbox);
    for number in 0..62 {
        // All through one server of the distribution; every second request is from the same client.
        let (mut parts, _) = event("otp").into_parts();
        let client_ip =
            if number % 2 == 0 { "203.0.113.7" } else { &format!("198.51.100.{number}") };
        parts.headers.insert("x-viewer-address", client_ip.parse().unwrap());
        let body = json!({ "email": format!("user{number}@example.com") });
        client.send(Request::from_parts(parts, Body::from(body.to_string()))).await;
    }
    assert_eq!(mailbox.mails().len(), 31 + 30);
}

#[tokio::test]
async fn requests_without_the_origin_secret_are_refused() {
    let (mut stack, mailbox, _) = started().await;
    stack.set("ORIGIN_SECRET", DISTRIBUTION);
    let client = client(&stack, &mailbox);
    for secret in [None, Some("a-guess-a-guess-a-guess-a-guess-a-g"), Some("")] {
        let (mut parts, body) = event("otp").into_parts();
        parts.headers.remove("x-origin-secret");
        if let Some(secret) = secret {
            parts.headers.insert("x-origin-secret", secret.parse().unwrap());
        }
        let answer = client.send(Request::from_parts(parts, body)).await;
        assert_eq!(answer.refusal(), (403, "distribution_bypassed".into()), "{secret:?}");
    }
    assert!(mailbox.mails().is_empty());
}

#[tokio::test]
async fn bad_input_is_refused_and_sends_nothing() {
    let (_stack, mailbox, client) = started().await;
    let send =
        async |body: &str| client.json("POST", "/api/auth/otp", body.to_owned()).await.refusal();
    assert_eq!(send("{").await, (400, "malformed_json".into()));
    assert_eq!(send("").await, (400, "malformed_json".into()));
    assert_eq!(send("{}").await, (422, "invalid_request".into()));
    assert_eq!(send(r#"{"email":7}"#).await, (422, "invalid_request".into()));
    assert_eq!(send(r#"{"email":"nobody"}"#).await, (422, "invalid_email".into()));
    assert_eq!(send(r#"{"email":"a@b.com\r\nBcc: c@d.com"}"#).await, (422, "invalid_email".into()));
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    assert_eq!(send(&large).await, (413, "body_too_large".into()));

    let body = json!({ "email": "ada@example.com" });
    let no_type = client.request("POST", "/api/auth/otp", Body::from(body.to_string()));
    assert_eq!(client.send(no_type).await.refusal(), (415, "unsupported_media_type".into()));
    let cross_site =
        client.clone().with("sec-fetch-site", "cross-site").post("/api/auth/otp", &body).await;
    assert_eq!(cross_site.refusal(), (403, "cross_site".into()));
    let origin =
        client.clone().with("origin", "https://evil.example").post("/api/auth/otp", &body).await;
    assert_eq!(origin.refusal(), (403, "cross_site".into()));
    assert_eq!(client.get("/api/auth/otp").await.refusal(), (405, "method_not_allowed".into()));
    assert_eq!(client.get("/api/auth/nothing").await.refusal(), (404, "not_found".into()));
    assert!(mailbox.mails().is_empty());
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_a_502() {
    let (_stack, mailbox, client) = started().await;
    mailbox.break_down();
    let answer = client.post("/api/auth/otp", &json!({ "email": "ada@example.com" })).await;
    assert_eq!(answer.refusal(), (502, "mail_failed".into()));
}

#[tokio::test]
async fn without_the_cache_login_is_unavailable() {
    let (mut stack, mailbox) = (TestStack::start().await, Mailbox::default());
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let answer = client(&stack, &mailbox)
        .post("/api/auth/otp", &json!({ "email": "ada@example.com" }))
        .await;
    assert_eq!(answer.refusal(), (503, "login_unavailable".into()));
    assert_eq!(answer.header("retry-after"), Some("5"));
}
