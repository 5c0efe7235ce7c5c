//! Requests that complete nothing.

use std::time::Duration;

use testkit::{Client, TestStack};

use crate::api::setup::{User, expect, in_state, refused, samples, upload};

#[tokio::test]
async fn a_file_that_was_not_sent_is_missing_until_it_is() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let sample = &samples()[0];
    let declared = ada.presign.declare("a.png", sample.content_type, &sample.bytes).await;
    let id = declared["id"].as_str().unwrap();
    assert_eq!(ada.complete(id).await.refusal(), refused(409, "upload_missing"));
    assert_eq!(in_state(&stack, "pending").await, 1);
    expect(200, testkit::put_file(&declared, &sample.bytes).await);
    upload(&ada.complete(id).await);
}

#[tokio::test]
async fn an_upload_that_is_not_the_users_is_not_found() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let id = ada.sent(&samples()[0]).await;
    stack.s3.clear_requests();
    let unknown = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
    assert_eq!(eve.complete(&id).await.refusal(), refused(404, "upload_not_found"));
    for id in [unknown, "x", "%00", &id.to_uppercase(), &id.replace('-', "")] {
        assert_eq!(ada.complete(id).await.refusal(), refused(404, "upload_not_found"), "{id}");
    }
    assert_eq!(stack.s3.requests(), []);
    assert_eq!(ada.complete(&id).await.status, 200);
}

#[tokio::test]
async fn an_expired_or_deleted_upload_is_not_found() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let (early, late) = (ada.sent(&samples()[0]).await, ada.sent(&samples()[0]).await);
    let deleted = ada.sent(&samples()[0]).await;
    expect(204, ada.delete(&deleted).await);
    assert_eq!(ada.complete(&deleted).await.refusal(), refused(404, "upload_not_found"));
    stack.clock.advance(Duration::from_hours(1) - Duration::from_micros(1));
    upload(&ada.complete(&early).await);
    stack.clock.advance(Duration::from_mins(1));
    assert_eq!(ada.complete(&late).await.refusal(), refused(404, "upload_not_found"));
    // A ready one does not expire.
    stack.clock.advance(Duration::from_hours(48));
    upload(&ada.again(&stack).complete(&early).await);
}

#[tokio::test]
async fn without_a_live_session_nothing_is_completed() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.sent(&samples()[0]).await;
    stack.s3.clear_requests();
    let forged = ada.inspect.clone().with("sec-fetch-site", "cross-site");
    assert_eq!(forged.complete(&id).await.refusal(), refused(403, "cross_site"));
    let anonymous = Client::new(inspect::app(inspect::Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        database: stack.database(),
        files: stack.files(),
    }));
    assert_eq!(anonymous.complete(&id).await.refusal(), refused(401, "unauthenticated"));
    let elsewhere = User::new(&stack, "ada").await;
    let database = stack.database();
    database.request(&elsewhere.session, stack.clock.now()).log_out().await.unwrap();
    assert_eq!(elsewhere.complete(&id).await.refusal(), refused(401, "session_ended"));
    assert_eq!(stack.s3.requests(), []);
    assert_eq!(in_state(&stack, "pending").await, 1);
}

#[tokio::test]
async fn only_post_completes_an_upload() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.sent(&samples()[0]).await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer = ada.inspect.json(method, &format!("/api/uploads/{id}/complete"), "").await;
        assert_eq!(answer.refusal(), refused(405, "method_not_allowed"), "{method}");
    }
    assert_eq!(in_state(&stack, "pending").await, 1);
}
