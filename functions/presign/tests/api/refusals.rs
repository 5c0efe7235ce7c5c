//! Declarations that are refused.

use axum::body::Body;
use serde_json::{Value, json};
use testkit::{Client, TestStack};

use crate::api::setup::{PATH, TEXT, User, count, deps, details, of_size, refused, with};

async fn assert_nothing_is_reserved(stack: &TestStack) {
    assert_eq!(count(stack, "select count(*) from uploads").await, 0);
    let bytes = "select coalesce(sum(bytes), 0)::bigint from storage_usage";
    assert_eq!(count(stack, bytes).await, 0);
    assert_eq!(stack.s3.requests(), []);
}

#[tokio::test]
async fn a_body_that_is_no_declaration_is_refused() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let valid = of_size("text/plain", 5).to_string();
    let largest = format!("{valid}{}", " ".repeat(8192 - valid.len()));
    for (body, status, code) in [
        ("", 400, "malformed_json"),
        ("{", 400, "malformed_json"),
        (&format!("{valid} {{}}"), 400, "malformed_json"),
        (r#"{"filename":"\ud800"}"#, 422, "invalid_request"),
        ("[]", 422, "invalid_request"),
        ("null", 422, "invalid_request"),
        ("{}", 422, "invalid_request"),
        (&format!("{largest} "), 413, "body_too_large"),
    ] {
        let answer = ada.client.json("POST", PATH, body.to_owned()).await;
        assert_eq!(answer.refusal(), refused(status, code), "{body}");
    }
    let form = ada.client.request("POST", PATH, Body::from("filename=a"));
    let form = ada.client.send(form).await;
    assert_eq!(form.refusal(), refused(415, "unsupported_media_type"));
    let forged = ada.client.clone().with("sec-fetch-site", "cross-site");
    let forged = forged.post(PATH, &of_size("text/plain", 5)).await;
    assert_eq!(forged.refusal(), refused(403, "cross_site"));
    assert_nothing_is_reserved(&stack).await;
    assert_eq!(ada.client.json("POST", PATH, largest).await.status, 201);
}

#[tokio::test]
async fn an_invalid_field_is_refused() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for (body, code) in [
        (with("size", 0), "invalid_upload"),
        (with("size", -1), "invalid_request"),
        (with("size", 1.5), "invalid_request"),
        (with("size", 5.0), "invalid_request"),
        (with("size", 1.9e19), "invalid_request"),
        (with("size", "5"), "invalid_request"),
        (with("size", Value::Null), "invalid_request"),
        (with("sha256", "ab".repeat(31)), "invalid_upload"),
        (with("sha256", "ab".repeat(33)), "invalid_upload"),
        (with("sha256", "a".repeat(63)), "invalid_upload"),
        (with("sha256", "gh".repeat(32)), "invalid_upload"),
        (with("sha256", " b".repeat(32)), "invalid_upload"),
        (with("sha256", ""), "invalid_upload"),
        (with("sha256", Value::Null), "invalid_request"),
        (with("filename", ""), "invalid_upload"),
        (with("filename", "x".repeat(4097)), "invalid_upload"),
        (with("filename", "é".repeat(2049)), "invalid_upload"),
        (with("filename", 7), "invalid_request"),
        (with("filename", json!(["a"])), "invalid_request"),
        (with("contentType", Value::Null), "invalid_request"),
        (with("key", "clean/x"), "invalid_request"),
        (with("id", "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f"), "invalid_request"),
    ] {
        let answer = ada.client.post(PATH, &body).await;
        assert_eq!(answer.refusal(), refused(422, code), "{body}");
    }
    let too_much = of_size("text/plain", 5).to_string().replace(":5", ":18446744073709551616");
    let answer = ada.client.json("POST", PATH, too_much).await;
    assert_eq!(answer.refusal(), refused(422, "invalid_request"));
    assert_nothing_is_reserved(&stack).await;
}

#[tokio::test]
async fn a_size_beyond_any_plan_is_a_file_that_is_too_large() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let sizes = [26 << 20, u64::from(u32::MAX) + 1, 1 << 62, 1 << 63, u64::MAX];
    for size in sizes {
        let answer = ada.ask("text/plain", size).await;
        assert_eq!(answer.refusal(), refused(413, "file_too_large"), "{size}: {}", answer.body);
        assert_eq!(details(&answer), json!({ "limitMib": 5, "upgrade": null }), "{size}");
    }
    assert_nothing_is_reserved(&stack).await;
}

#[tokio::test]
async fn a_hash_in_capitals_is_the_same_hash() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let answers = [with("sha256", "ab".repeat(32)), with("sha256", "AB".repeat(32))];
    let mut headers = Vec::new();
    for body in answers {
        headers.push(ada.client.post(PATH, &body).await.json()["headers"].take());
    }
    assert_eq!(headers[0], headers[1]);
}

#[tokio::test]
async fn a_type_that_is_not_allowed_is_refused_with_those_that_are() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for content_type in [
        "",
        "application/zip",
        "image/tiff",
        "video/mp4",
        "application/x-msdownload",
        "application/octet-stream",
        "image/*",
        "text/plain\0",
        "image/png/x",
    ] {
        let answer = ada.ask(content_type, 5).await;
        assert_eq!(answer.refusal(), refused(422, "type_not_allowed"), "{content_type}");
        let allowed = details(&answer)["allowed"].take();
        let allowed: Vec<_> = allowed.as_array().unwrap().iter().collect();
        for known in ["image/jpeg", "image/png", "image/webp", "image/gif", "application/pdf"] {
            assert!(allowed.contains(&&json!(known)), "{known}");
        }
        assert!(!answer.body.contains("HEIC"), "{}", answer.body);
    }
    for content_type in ["image/heic", "image/HEIF"] {
        let answer = ada.ask(content_type, 5).await;
        assert_eq!(answer.refusal(), refused(422, "type_not_allowed"));
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("HEIC") && message.contains("JPEG"), "{message}");
    }
    assert_nothing_is_reserved(&stack).await;
}

/// Calls each route once.
async fn all_routes(client: &Client, id: &str) -> Vec<(u16, String)> {
    vec![
        client.post(PATH, &of_size("text/plain", 5)).await.refusal(),
        client.get(PATH).await.refusal(),
        client.get(&format!("{PATH}/{id}")).await.refusal(),
        client.get(&format!("{PATH}/{id}/file")).await.refusal(),
        client.json("DELETE", &format!("{PATH}/{id}"), "").await.refusal(),
    ]
}

#[tokio::test]
async fn without_a_live_session_no_route_answers() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await.to_string();
    let anonymous = Client::new(presign::app(deps(&stack)));
    assert_eq!(all_routes(&anonymous, &id).await, vec![refused(401, "unauthenticated"); 5]);

    let elsewhere = User::new(&stack, "ada").await;
    let database = stack.database();
    database.request(&elsewhere.session, stack.clock.now()).log_out().await.unwrap();
    let ended = all_routes(&elsewhere.client, &id).await;
    assert_eq!(ended, vec![refused(401, "session_ended"); 5]);
    assert_eq!(count(&stack, "select count(*) from uploads where state = 'ready'").await, 1);
    assert_eq!(count(&stack, "select count(*) from uploads").await, 1);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_delete() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    let forged = ada.client.clone().with("sec-fetch-site", "cross-site");
    let answer = forged.json("DELETE", &format!("{PATH}/{id}"), "").await;
    assert_eq!(answer.refusal(), refused(403, "cross_site"));
    assert_eq!(ada.show(id).await.status, 200);
}
