//! Deleting uploads.

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::TestStack;

use crate::api::setup::{IMAGE, TEXT, User, asked_about, count, expect, refused};

#[tokio::test]
async fn a_deleted_upload_is_gone_and_its_bytes_are_free_once() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let (id, _other) = (
        stack.ready_upload(&ada.session, &TEXT).await,
        stack.ready_upload(&ada.session, &IMAGE).await,
    );
    assert_eq!(stack.stored_bytes(&ada.session).await, 16);
    let answer = expect(204, ada.delete(id).await);
    assert_eq!(answer.body, "");
    assert_eq!(stack.stored_bytes(&ada.session).await, 6);
    assert_eq!(ada.show(id).await.refusal(), refused(404, "upload_not_found"));
    assert_eq!(ada.file(id, "").await.refusal(), refused(404, "upload_not_found"));
    expect(204, ada.delete(id).await);
    assert_eq!(stack.stored_bytes(&ada.session).await, 6);
}

#[tokio::test]
async fn another_users_upload_cannot_be_deleted() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let id = stack.ready_upload(&ada.session, &TEXT).await.to_string();
    assert_eq!(eve.delete(&id).await.refusal(), refused(404, "upload_not_found"));
    let unknown = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f".to_owned();
    for id in [unknown, "x".to_owned(), id.to_uppercase()] {
        assert_eq!(ada.delete(&id).await.refusal(), refused(404, "upload_not_found"), "{id}");
    }
    assert_eq!(ada.show(&id).await.status, 200);
    assert_eq!(stack.stored_bytes(&ada.session).await, 10);
}

#[tokio::test]
async fn twenty_deletions_at_once_free_the_bytes_once() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    stack.ready_upload(&ada.session, &IMAGE).await;
    let instances: Vec<_> = (0..20).map(|_| ada.again(&stack)).collect();
    for answer in join_all(instances.iter().map(|ada| ada.delete(id))).await {
        expect(204, answer);
    }
    assert_eq!(stack.stored_bytes(&ada.session).await, 6);
}

#[tokio::test]
async fn a_pending_upload_can_be_deleted_before_and_after_it_has_expired() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for minutes in [0, 61] {
        let id = ada.client.sent("a.txt", "text/plain", b"hello").await;
        assert_eq!(stack.stored_bytes(&ada.session).await, 5);
        let now = stack.clock.now();
        stack.clock.advance(std::time::Duration::from_mins(minutes));
        expect(204, ada.delete(&id).await);
        assert_eq!(stack.stored_bytes(&ada.session).await, 0);
        stack.clock.set(now);
    }
}

async fn parts(stack: &TestStack, message: &str) -> Value {
    let sql = "select parts from messages where id = $1";
    stack.owner().await.query_one(sql, &[&message]).await.unwrap().get(0)
}

#[tokio::test]
async fn messages_keep_a_part_with_its_name_and_without_a_url() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let (id, kept) = (
        stack.ready_upload(&ada.session, &IMAGE).await,
        stack.ready_upload(&ada.session, &TEXT).await,
    );
    let (chat, question) = asked_about(&stack, &ada, 1, &[id, kept]).await;
    let (_, alone) = asked_about(&stack, &ada, 2, &[id]).await;
    stack.clock.advance(std::time::Duration::from_secs(1));
    let (_, without) = asked_about(&stack, &ada, 3, &[kept]).await;
    let of_eve = stack.ready_upload(&eve.session, &IMAGE).await;
    let (_, eves) = asked_about(&stack, &eve, 4, &[of_eve]).await;
    assert_eq!(ada.show(kept).await.json()["upload"]["usedIn"], json!(["chat-0003", chat]));
    let before = parts(&stack, &question).await;
    assert_eq!(before[1]["url"], format!("/api/uploads/{id}"));
    let untouched = (parts(&stack, &without).await, parts(&stack, &eves).await);

    expect(204, ada.delete(id).await);
    let mut expected = before.clone();
    expected[1]["url"] = json!("");
    assert_eq!(parts(&stack, &question).await, expected);
    assert_eq!(expected[1]["filename"], "ship.png");
    assert_eq!(expected[2]["url"], format!("/api/uploads/{kept}"));
    assert_eq!(parts(&stack, &alone).await[1]["url"], "");
    assert_eq!((parts(&stack, &without).await, parts(&stack, &eves).await), untouched);
    // Once more changes nothing.
    expect(204, ada.delete(id).await);
    assert_eq!(parts(&stack, &question).await, expected);
    assert_eq!(count(&stack, "select count(*) from messages").await, 8);
}
