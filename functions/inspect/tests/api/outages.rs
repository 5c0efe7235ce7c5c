//! Outages of each system.

use testkit::TestStack;

use crate::api::setup::{User, in_state, refused, samples, upload};

#[tokio::test]
async fn while_s3_is_down_nothing_is_lost() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for sample in samples() {
        let id = ada.sent(&sample).await;
        stack.s3.stop().await;
        let answer = ada.complete(&id).await;
        assert_eq!(answer.refusal(), refused(503, "uploads_unavailable"));
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(in_state(&stack, "pending").await, 1);
        stack.s3.start_again().await.unwrap();
        upload(&ada.complete(&id).await);
        assert_eq!(ada.forms(&stack, &id), sample.forms);
    }
    assert_eq!(stack.s3.all_versions("quarantine/"), 0);
}

#[tokio::test]
async fn while_postgres_is_down_nothing_is_lost() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.sent(&samples()[0]).await;
    let url = stack.env().required("DATABASE_URL").unwrap();
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    stack.s3.clear_requests();
    let answer = ada.again(&stack).complete(&id).await;
    assert_eq!(answer.refusal(), refused(503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(stack.s3.requests(), []);
    stack.set("DATABASE_URL", url);
    upload(&ada.again(&stack).complete(&id).await);
}

#[tokio::test]
async fn an_s3_that_does_not_answer_is_given_up_within_the_functions_time() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.sent(&samples()[0]).await;
    stack.s3.hang_after(0);
    let within = std::time::Duration::from_secs(20);
    let answer = tokio::time::timeout(within, ada.complete(&id)).await.unwrap();
    assert_eq!(answer.refusal(), refused(503, "uploads_unavailable"));
    stack.s3.resume();
    upload(&ada.again(&stack).complete(&id).await);
}
