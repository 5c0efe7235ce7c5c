//! Uploads that are deleted, or expire, while they are completed.

use std::time::Duration;

use testkit::TestStack;

use crate::api::setup::{User, count, expect, refused, samples};

#[tokio::test]
async fn an_upload_that_is_deleted_during_its_completion_leaves_nothing_readable() {
    for sample in samples() {
        // At every request to S3: the last one discards what was sent.
        let requests = sample.forms.len() + 3;
        for request in 0..requests {
            let stack = TestStack::start().await;
            let (ada, other) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
            let id = ada.sent(&sample).await;
            stack.s3.clear_requests();
            stack.s3.hang_after(request);
            let delete = async {
                while stack.s3.requests().len() <= request {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                expect(204, ada.delete(&id).await);
                stack.s3.resume();
                // Its client tries again at once.
                stack.s3.stop().await;
                stack.s3.start_again().await.unwrap();
            };
            let (answer, ()) = tokio::join!(ada.complete(&id), delete);
            if request + 1 < requests {
                assert_eq!(answer.refusal(), refused(404, "upload_not_found"), "{request}");
            } else {
                // It was completed before it was deleted.
                expect(200, answer);
            }
            for answer in [ada.show(&id).await, ada.fetched(&id).await, ada.complete(&id).await] {
                assert_eq!(answer.refusal(), refused(404, "upload_not_found"));
            }
            assert_eq!(stack.stored_bytes(&ada.session).await, 0);
            assert_eq!(stack.stored_bytes(&other.session).await, 0);

            stack.clock.advance(Duration::from_mins(6));
            stack.sweep(&stack.owner_url()).await;
            assert_eq!(stack.s3.all_versions(""), 0, "{} {request}", sample.content_type);
            assert_eq!(count(&stack, "select count(*) from uploads").await, 0);
        }
    }
}

#[tokio::test]
async fn completions_and_deletions_at_once_never_leave_a_ready_upload() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for sample in samples() {
        for delay in 0..4 {
            let id = ada.sent(&sample).await;
            let (one, other) = (ada.again(&stack), ada.again(&stack));
            let delete = async {
                tokio::time::sleep(Duration::from_millis(delay * 3)).await;
                expect(204, ada.delete(&id).await)
            };
            let (one, other, _) = tokio::join!(one.complete(&id), other.complete(&id), delete);
            for answer in [one, other] {
                assert!([200, 404].contains(&answer.status.as_u16()), "{}", answer.body);
            }
            assert_eq!(ada.show(&id).await.status, 404);
            assert_eq!(stack.stored_bytes(&ada.session).await, 0);
        }
    }
    stack.clock.advance(Duration::from_mins(6));
    stack.sweep(&stack.owner_url()).await;
    assert_eq!(stack.s3.all_versions(""), 0);
}
