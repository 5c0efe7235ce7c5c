//! The form of the request: any headers, any bytes, up to a size.

use serde_json::{Value, json};

use crate::api::setup::{Item, Post, Shop, assert_accepted, done};

const KIB: usize = 1024;

#[tokio::test]
async fn a_delivery_needs_no_content_type_and_may_come_from_anywhere() {
    for headers in [
        vec![],
        vec![("content-type", "text/plain")],
        vec![("content-type", "application/x-www-form-urlencoded")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        vec![("origin", "null")],
    ] {
        let shop = Shop::open().await;
        let secret = shop.stack.cashfree.client_secret();
        let mut post = Post::signed(&secret, shop.stack.clock.now(), shop.paid().body);
        for (name, value) in &headers {
            post.set(name, value);
        }
        let answer = post.to(&shop.webhook).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.body);
        shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    }
}

#[tokio::test]
async fn a_delivery_that_bypasses_the_distribution_is_refused() {
    let secret = "the-distributions-secret-0123456789";
    let shop = Shop::open().await.with("ORIGIN_SECRET", secret);
    let mut post = Post::from(&shop.paid());
    let refused = post.to(&shop.webhook).await;
    assert_eq!(refused.refusal(), (403, "distribution_bypassed".to_owned()));
    shop.assert_books("active", "", 0).await;
    post.set("x-origin-secret", secret);
    assert_accepted(&post.to(&shop.webhook).await);
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
}

#[tokio::test]
async fn a_body_has_at_most_256_kib() {
    let shop = Shop::open().await;
    let (secret, now) = (shop.stack.cashfree.client_secret(), shop.stack.clock.now());
    let of = |bytes: usize| Post::signed(&secret, now, format!("\"{}\"", "x".repeat(bytes - 2)));
    for too_large in [256 * KIB + 1, 257 * KIB] {
        let answer = of(too_large).to(&shop.webhook).await;
        assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    }
    assert!(done(&shop.stack).await.is_empty());
    assert_accepted(&of(256 * KIB).to(&shop.webhook).await);
    let Item { body, .. } = done(&shop.stack).await.pop().unwrap();
    let content = &body.unwrap()["delivery"]["content"];
    assert_eq!(*content, json!({ "kind": "other", "value": null }));
}

#[tokio::test]
async fn a_body_that_is_signed_and_no_json_is_archived() {
    let shop = Shop::open().await;
    let (secret, now) = (shop.stack.cashfree.client_secret(), shop.stack.clock.now());
    let bodies: [&[u8]; 5] = [
        b"",
        b"order_id=1&txStatus=SUCCESS",
        b"{\"type\":\"PAYMENT_SUCCESS_WEBHOOK\",",
        b"{\"type\":\"PAYMENT_\xff\xfe\"}",
        b"\x00\x01\x02",
    ];
    for (count, body) in bodies.into_iter().enumerate() {
        let post = Post::signed(&secret, now, body);
        for _ in 0..2 {
            assert_accepted(&post.to(&shop.webhook).await);
            assert_eq!(done(&shop.stack).await.len(), count + 1);
        }
    }
    for item in done(&shop.stack).await {
        let Some(Value::Object(body)) = item.body else { panic!("{:?}", item.text) };
        assert!(item.id.starts_with("sha256#"), "{}", item.id);
        assert_eq!(item.ended.as_deref(), Some("not json"));
        assert_eq!(body["delivery"]["content"], json!({ "kind": "notJson" }));
    }
}
