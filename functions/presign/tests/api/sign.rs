//! What a declaration is answered with.

use shared_core::uploads::UploadId;
use testkit::{TestStack, declaration, put_file};

use crate::api::setup::{FIVE_MINUTES, PATH, User, expect, expiry, key_of, query_of};

#[tokio::test]
async fn a_declared_file_gets_a_url_and_three_headers_for_five_minutes() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let body = declaration("a.txt", "Text/Plain; charset=x", b"hello");
    let answer = expect(201, ada.client.post(PATH, &body).await);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    let mut fields: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["expiresAt", "headers", "id", "method", "url"]);
    assert!(UploadId::parse(answer["id"].as_str().unwrap()).is_some());
    assert_eq!(answer["method"], "PUT");
    // The SHA-256 of "hello", in base64.
    let expected = serde_json::json!({
        "content-type": "text/plain", "if-none-match": "*",
        "x-amz-checksum-sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
    });
    assert_eq!(answer["headers"], expected);
    assert_eq!(expiry(&answer), stack.clock.now() + FIVE_MINUTES);
}

#[tokio::test]
async fn the_url_signs_each_header_and_names_no_checksum() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let declared = ada.client.declare("../../a.txt", "text/plain", b"hello").await;
    let url = declared["url"].as_str().unwrap();
    let query = query_of(url);
    let parameter = |name: &str| query.get(name).map(String::as_str);
    assert_eq!(
        parameter("X-Amz-SignedHeaders"),
        Some("content-length;content-type;host;if-none-match;x-amz-checksum-sha256")
    );
    assert_eq!(parameter("X-Amz-Expires"), Some("300"));
    assert_eq!(parameter("x-id"), Some("PutObject"));
    // A checksum in the query would be one that no header has to repeat.
    assert!(!query.keys().any(|name| name.to_lowercase().contains("checksum")), "{url}");
    let id = declared["id"].as_str().unwrap();
    assert_eq!(key_of(url), format!("quarantine/{}/{id}", ada.session.user));
}

#[tokio::test]
async fn the_file_can_be_sent_and_is_pending_until_it_is_completed() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let declared = ada.client.declare("a.txt", "text/plain", b"hello").await;
    let id = declared["id"].as_str().unwrap();
    assert_eq!(stack.s3.requests(), [], "signing makes no request");
    expect(200, put_file(&declared, b"hello").await);
    let key = format!("quarantine/{}/{id}", ada.session.user);
    let (bytes, content_type) = stack.s3.object(&key).await.unwrap();
    assert_eq!((&*bytes, content_type.as_str()), (&b"hello"[..], "text/plain"));
    let shown = expect(200, ada.show(id).await).json();
    let created = stack.clock.now().to_string();
    let expected = serde_json::json!({ "upload": {
        "id": id, "filename": "a.txt", "contentType": "text/plain", "size": 5, "state": "pending",
        "usedIn": [], "createdAt": created, "url": format!("/api/uploads/{id}"),
    }});
    assert_eq!(shown, expected);
    assert_eq!(stack.stored_bytes(&ada.session).await, 5);
}
