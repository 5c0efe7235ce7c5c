//! Outages of each system.

use testkit::TestStack;

use crate::api::setup::{TEXT, User, count, expect, refused};

#[tokio::test]
async fn without_postgres_every_route_answers_503_with_retry_after() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    let url = stack.env().required("DATABASE_URL").unwrap();
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let away = ada.again(&stack);
    for answer in [
        away.ask("text/plain", 1).await,
        away.list("").await,
        away.show(id).await,
        away.file(id, "").await,
        away.delete(id).await,
    ] {
        assert_eq!(answer.refusal(), refused(503, "unavailable"));
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.header("location"), None);
    }
    // What could not be reserved does not count for the hour.
    for _ in 0..25 {
        assert_eq!(away.ask("text/plain", 1).await.status, 503);
    }
    stack.set("DATABASE_URL", url);
    let ada = ada.again(&stack);
    for _ in 0..20 {
        expect(201, ada.ask("text/plain", 1).await);
    }
    expect(200, ada.show(id).await);
}

#[tokio::test]
async fn without_s3_everything_works_for_it_is_never_called() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    stack.s3.stop().await;
    expect(201, ada.ask("text/plain", 1).await);
    expect(200, ada.show(id).await);
    expect(200, ada.list("").await);
    expect(302, ada.file(id, "").await);
    expect(204, ada.delete(id).await);
    assert_eq!(count(&stack, "select count(*) from uploads").await, 2);
    assert_eq!(stack.s3.requests(), []);
}

#[tokio::test]
async fn without_the_cache_every_route_works() {
    let mut stack = TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let ada = User::new(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    ada.client.sent("a.txt", "text/plain", b"hello").await;
    expect(200, ada.show(id).await);
    expect(200, ada.list("").await);
    expect(302, ada.file(id, "").await);
    expect(204, ada.delete(id).await);
    assert_eq!(stack.stored_bytes(&ada.session).await, 5);
}

#[tokio::test]
async fn when_the_cache_comes_back_the_limit_of_the_hour_still_holds() {
    let mut stack = TestStack::start().await;
    let url = stack.env().required("CACHE_URL").unwrap();
    let ada = User::new(&stack, "ada").await;
    for _ in 0..20 {
        expect(201, ada.ask("text/plain", 1).await);
    }
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let away = ada.again(&stack);
    assert_eq!(away.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
    stack.set("CACHE_URL", url);
    let ada = ada.again(&stack);
    assert_eq!(ada.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
    assert_eq!(count(&stack, "select count(*) from uploads").await, 20);
}
