//! Who is believed: whoever has signed the bytes.

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use testkit::{TestStack, WebhookFixture};

use crate::api::setup::{Post, Shop, assert_accepted, done, instance, waiting};

const REFUSAL: &str =
    r#"{"error":{"code":"webhook_refused","message":"the signature is not valid"}}"#;

async fn stored(stack: &TestStack) -> usize {
    waiting(stack).await.len() + done(stack).await.len()
}

async fn assert_refused(webhook: &testkit::Client, what: &str, post: &Post) {
    let answer = post.to(webhook).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (401, REFUSAL), "{what}");
}

#[tokio::test]
async fn each_fixture_gets_the_verdict_of_its_manifest_however_old_it_is() {
    for fixture in WebhookFixture::all() {
        let mut stack = TestStack::start().await;
        stack.set("CASHFREE_WEBHOOK_SECRETS", fixture.secret.clone());
        let webhook = instance(&stack);
        let post = Post { headers: fixture.headers(), body: fixture.body().into() };
        if fixture.is_valid() {
            assert_accepted(&post.to(&webhook).await);
        } else {
            assert_refused(&webhook, &fixture.name, &post).await;
        }
        let expected = usize::from(fixture.is_valid());
        assert_eq!(stored(&stack).await, expected, "{}", fixture.name);
    }
}

#[tokio::test]
async fn what_the_provider_has_not_signed_is_refused_without_a_reason_and_changes_nothing() {
    let shop = Shop::open().await;
    let (genuine, secret) = (Post::from(&shop.paid()), shop.stack.cashfree.client_secret());
    let text = String::from_utf8(genuine.body.to_vec()).unwrap();
    let timestamp = genuine.headers["x-webhook-timestamp"].to_str().unwrap();
    let signature = genuine.headers["x-webhook-signature"].to_str().unwrap();
    let mut cases = Vec::new();

    let tampered = text.replace("450.00", "1.00");
    let reserialised = serde_json::from_str::<Value>(&text).unwrap().to_string();
    for (what, body) in [
        ("a tampered body", tampered),
        ("a body that was parsed and written", reserialised),
        ("a trailing newline", format!("{text}\n")),
        ("no body", String::new()),
    ] {
        assert_ne!(body, text, "{what}");
        cases.push((what, Post { body: Bytes::from(body), ..genuine.clone() }));
    }
    let hexadecimal = hex::encode(STANDARD.decode(signature).unwrap());
    for (what, name, value) in [
        ("a hexadecimal signature", "x-webhook-signature", hexadecimal.as_str()),
        ("a signature without padding", "x-webhook-signature", signature.trim_end_matches('=')),
        ("an empty signature", "x-webhook-signature", ""),
        ("another time", "x-webhook-timestamp", "1763845446123"),
        ("no time", "x-webhook-timestamp", ""),
    ] {
        let mut post = genuine.clone();
        post.set(name, value);
        cases.push((what, post));
    }
    for name in ["x-webhook-signature", "x-webhook-timestamp"] {
        let (mut missing, mut doubled) = (genuine.clone(), genuine.clone());
        missing.headers.remove(name);
        doubled.headers.append(name, genuine.headers[name].clone());
        cases.extend([("a missing header", missing), ("a doubled header", doubled)]);
    }
    let signed = |secret: &str, timestamp: &str| {
        Post::with_timestamp(secret, timestamp, genuine.body.clone())
    };
    cases.extend([
        ("another secret", signed("cfsk_another_secret", timestamp)),
        ("an empty secret", signed("", timestamp)),
        ("a time of nine digits", signed(&secret, "176384544")),
        ("a time of fourteen digits", signed(&secret, &format!("0{timestamp}"))),
        ("a time that is no number", signed(&secret, "2026-11-22T15")),
        ("a negative time", signed(&secret, &format!("-{}", &timestamp[1..]))),
    ]);
    for (what, post) in &cases {
        assert_refused(&shop.webhook, what, post).await;
    }
    shop.assert_books("active", "", 0).await;
    assert_eq!(stored(&shop.stack).await, 0);

    assert_accepted(&genuine.to(&shop.webhook).await);
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
}

#[tokio::test]
async fn during_a_rotation_the_new_secret_and_the_old_one_are_accepted() {
    let shop = Shop::open().await.with("CASHFREE_WEBHOOK_SECRETS", "new, old,");
    let client_secret = shop.stack.cashfree.client_secret();
    let (now, body) = (shop.stack.clock.now(), shop.paid().body);
    let signed = |secret: &str| Post::signed(secret, now, body.clone());
    for secret in ["", " ", "new, old", "another"] {
        assert_refused(&shop.webhook, secret, &signed(secret)).await;
    }
    for secret in ["new", "old", client_secret.as_str()] {
        assert_accepted(&signed(secret).to(&shop.webhook).await);
    }
    let shop = shop.with("CASHFREE_WEBHOOK_SECRETS", "new");
    assert_refused(&shop.webhook, "old", &signed("old")).await;
}

#[tokio::test]
async fn where_nothing_is_sold_every_webhook_is_refused() {
    let shop = Shop::open().await;
    let (delivery, now) = (shop.paid(), shop.stack.clock.now());
    let shop = shop.with("CASHFREE_CLIENT_ID", "").with("CASHFREE_CLIENT_SECRET", "");
    assert_refused(&shop.webhook, "a delivery", &Post::from(&delivery)).await;
    let unsigned = Post::signed("", now, delivery.body);
    assert_refused(&shop.webhook, "an empty secret", &unsigned).await;
}
