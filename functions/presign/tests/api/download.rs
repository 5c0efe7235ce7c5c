//! Files, by redirects to S3.

use std::time::Duration;

use axum::body::Bytes;
use http::{Method, Request};
use testkit::{Answer, ReadyFile, TestStack, send_http};

use crate::api::setup::{IMAGE, PDF, TEXT, User, back, expect, key_of, query_of, refused};

async fn fetch(url: &str) -> Answer {
    send_http(Request::get(url).body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn a_file_is_a_redirect_to_s3_that_a_browser_may_keep_for_a_minute() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for file in [TEXT, IMAGE, PDF] {
        let id = stack.ready_upload(&ada.session, &file).await;
        let answer = expect(302, ada.file(id, "").await);
        assert_eq!(answer.header("cache-control"), Some("private, max-age=60"));
        let location = answer.header("location").unwrap();
        let content = expect(200, fetch(location).await);
        assert_eq!(content.body.as_bytes(), file.bytes);
        assert_eq!(content.header("cache-control"), Some("private, max-age=120"));
        assert_eq!(query_of(location)["X-Amz-Expires"], "120");
    }
}

#[tokio::test]
async fn a_file_is_served_as_a_type_that_runs_nothing() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let text = "text/plain; charset=utf-8";
    for (media_type, served, how, form) in [
        ("image/png", "image/png", "inline", "view"),
        ("image/jpeg", "image/jpeg", "inline", "view"),
        ("application/pdf", "application/pdf", "inline", "model"),
        ("text/plain", text, "attachment", "view"),
        ("text/html", text, "attachment", "view"),
        ("image/svg+xml", text, "attachment", "view"),
        ("application/xhtml+xml", text, "attachment", "view"),
        ("text/javascript", text, "attachment", "view"),
        ("application/json", text, "attachment", "view"),
    ] {
        let id = stack.ready_upload(&ada.session, &ReadyFile { media_type, ..TEXT }).await;
        let location = ada.location(id, "").await;
        assert_eq!(key_of(&location), format!("clean/{}/{id}/{form}", ada.session.user));
        let content = expect(200, fetch(&location).await);
        assert_eq!(content.header("content-type"), Some(served), "{media_type}");
        let disposition = content.header("content-disposition").unwrap();
        assert_eq!(disposition, format!("{how}; filename*=UTF-8''notes.txt"), "{media_type}");
        for (from, to) in [("text%2Fplain", "text%2Fhtml"), ("attachment", "inline")] {
            let forged = location.replacen(from, to, 1);
            assert!(forged == location || fetch(&forged).await.status == 403, "{forged}");
        }
    }
}

#[tokio::test]
async fn the_small_form_of_an_image_can_be_asked_for() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let image = stack.ready_upload(&ada.session, &IMAGE).await;
    let location = ada.location(image, "?as=thumb").await;
    assert_eq!(key_of(&location), format!("clean/{}/{image}/thumb", ada.session.user));
    assert_eq!(expect(200, fetch(&location).await).header("content-type"), Some("image/png"));
    for file in [TEXT, PDF] {
        let id = stack.ready_upload(&ada.session, &file).await;
        expect(200, fetch(&ada.location(id, "?as=thumb").await).await);
    }
    for query in ["?as=view", "?as=model", "?as=", "?as=thumb&as=thumb", "?as=../view"] {
        assert_eq!(
            ada.file(image, query).await.refusal(),
            refused(422, "invalid_request"),
            "{query}"
        );
    }
    expect(302, ada.file(image, "?v=2").await);
}

#[tokio::test]
async fn only_a_ready_file_of_the_user_is_there() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    assert_eq!(eve.file(id, "").await.refusal(), refused(404, "upload_not_found"));
    let malformed = ada.client.get("/api/uploads/x/file").await;
    assert_eq!(malformed.refusal(), refused(404, "upload_not_found"));
    expect(204, ada.delete(id).await);
    let deleted = ada.file(id, "").await;
    assert_eq!(deleted.refusal(), refused(404, "upload_not_found"));
    assert_eq!(deleted.header("location"), None);

    let pending = ada.client.sent("a.txt", "text/plain", b"hello").await;
    let pending = shared_core::uploads::UploadId::parse(&pending).unwrap();
    for query in ["", "?as=thumb"] {
        assert_eq!(ada.file(pending, query).await.refusal(), refused(409, "upload_missing"));
    }
    stack.clock.advance(Duration::from_mins(61));
    assert_eq!(ada.file(pending, "").await.refusal(), refused(404, "upload_not_found"));
}

#[tokio::test]
async fn after_two_minutes_the_url_is_refused() {
    let stack = TestStack::start().await;
    back(&stack, Duration::from_mins(1));
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    expect(200, fetch(&ada.location(id, "").await).await);
    back(&stack, Duration::from_secs(61));
    // Its token is of that time, too.
    let refusal = fetch(&ada.again(&stack).location(id, "").await).await;
    assert_eq!(refusal.status, 403);
    assert!(!refusal.body.contains("some notes"));
}

#[tokio::test]
async fn the_url_is_good_for_nothing_but_this_file() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &IMAGE).await;
    let other = stack.ready_upload(&ada.session, &TEXT).await;
    let url = ada.location(id, "").await;
    for (from, to) in [
        (id.to_string(), other.to_string()),
        ("/view".to_owned(), "/model".to_owned()),
        ("/clean/".to_owned(), "/quarantine/".to_owned()),
        ("X-Amz-Expires=120".to_owned(), "X-Amz-Expires=600".to_owned()),
    ] {
        assert!(url.contains(&from), "{url}");
        assert_eq!(fetch(&url.replacen(&from, &to, 1)).await.status, 403, "{from}");
    }
    for method in [Method::PUT, Method::DELETE, Method::POST] {
        let request = Request::builder().method(method.clone()).uri(&url).body(Bytes::from("x"));
        assert!(send_http(request.unwrap()).await.status.is_client_error(), "{method}");
    }
    assert_eq!(expect(200, fetch(&url).await).body, "pixels");
    assert_eq!(stack.s3.all_versions(""), 5);
}
