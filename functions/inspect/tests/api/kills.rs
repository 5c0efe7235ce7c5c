//! Completions that are killed, at every request to S3 and at every step in between, and completed again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use testkit::{Answer, TestStack};

use crate::api::setup::{Sample, User, expect, in_state, samples, upload};

/// Sends a completion, and kills it once S3 has not answered this request of it, counted from 0. Returns its answer if it
/// came before.
async fn killed_at(stack: &TestStack, user: &User, id: &str, request: usize) -> Option<Answer> {
    stack.s3.clear_requests();
    stack.s3.hang_after(request);
    let hangs = async {
        while stack.s3.requests().len() <= request {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let answer = tokio::select! {
        answer = user.complete(id) => Some(answer),
        () = hangs => None,
    };
    stack.s3.resume();
    answer
}

/// Polls a completion so often, then drops it. Returns its answer if it came before.
async fn killed_after(polls: usize, completion: impl Future<Output = Answer>) -> Option<Answer> {
    let mut completion = pin!(completion);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        completion.as_mut().poll(context).map(Some)
    })
    .await
}

/// Fails unless the upload is ready, with all of its forms and its bytes counted once.
async fn assert_ready(stack: &TestStack, user: &User, id: &str, sample: &Sample, uploads: i64) {
    assert_eq!(upload(&user.show(id).await)["state"], "ready");
    assert_eq!(user.forms(stack, id), sample.forms);
    for form in sample.forms {
        let (bytes, _) = stack.s3.object(&format!("{}{form}", user.clean(id))).await.unwrap();
        assert!(!bytes.is_empty());
    }
    expect(200, user.fetched(id).await);
    let bytes = i64::try_from(sample.bytes.len()).unwrap();
    assert_eq!(stack.stored_bytes(&user.session).await, bytes * uploads);
    assert_eq!(in_state(stack, "ready").await, uploads);
}

/// Deletes all uploads of a user, and fails unless a sweep removes whatever there is of them.
async fn assert_swept_clean(stack: &TestStack, user: &User, ids: &[String]) {
    for id in ids {
        expect(204, user.delete(id).await);
    }
    assert_eq!(stack.stored_bytes(&user.session).await, 0);
    stack.clock.advance(Duration::from_mins(6));
    let report = stack.sweep(&stack.owner_url()).await;
    assert_eq!(report.count("uploadsRemoved"), Some(u64::try_from(ids.len()).unwrap()));
    assert_eq!(stack.s3.all_versions(""), 0);
}

#[tokio::test]
async fn a_completion_killed_at_any_request_to_s3_is_completed_by_the_next_one() {
    for sample in samples() {
        let stack = TestStack::start().await;
        let ada = User::new(&stack, "ada").await;
        let (mut ids, mut killed) = (Vec::new(), 0);
        for request in 0..10 {
            let id = ada.sent(&sample).await;
            let answer = killed_at(&stack, &ada.again(&stack), &id, request).await;
            killed += usize::from(answer.is_none());
            if let Some(answer) = answer {
                upload(&answer);
            }
            upload(&ada.complete(&id).await);
            ids.push(id.clone());
            let uploads = i64::try_from(ids.len()).unwrap();
            assert_ready(&stack, &ada, &id, &sample, uploads).await;
        }
        // HEAD, GET, a PUT or a COPY of each form, DELETE.
        assert_eq!(killed, sample.forms.len() + 3, "{}", sample.content_type);
        assert_swept_clean(&stack, &ada, &ids).await;
    }
}

#[tokio::test]
async fn a_completion_killed_between_any_two_steps_is_completed_by_the_next_one() {
    for sample in [&samples()[0], &samples()[2]] {
        let stack = TestStack::start().await;
        let ada = User::new(&stack, "ada").await;
        stack.premium(&ada.session).await;
        let (mut ids, mut killed) = (Vec::new(), 0);
        for polls in 0..40 {
            let id = ada.sent(sample).await;
            let (instance, again) = (ada.again(&stack), ada.again(&stack));
            killed += usize::from(killed_after(polls, instance.complete(&id)).await.is_none());
            upload(&again.complete(&id).await);
            ids.push(id.clone());
            assert_ready(&stack, &ada, &id, sample, i64::try_from(ids.len()).unwrap()).await;
        }
        assert!(killed >= 10, "{killed}");
        assert_swept_clean(&stack, &ada, &ids).await;
    }
}

#[tokio::test]
async fn a_completion_that_loses_any_response_of_s3_is_completed() {
    for sample in samples() {
        let stack = TestStack::start().await;
        let ada = User::new(&stack, "ada").await;
        let mut ids = Vec::new();
        for request in 0..10 {
            let id = ada.sent(&sample).await;
            stack.s3.lose_response_after(request);
            let answer = ada.again(&stack).complete(&id).await;
            assert!([200, 503].contains(&answer.status.as_u16()), "{request}: {}", answer.body);
            // Not for the requests below.
            stack.s3.lose_response_after(usize::MAX);
            upload(&ada.complete(&id).await);
            ids.push(id.clone());
            let uploads = i64::try_from(ids.len()).unwrap();
            assert_ready(&stack, &ada, &id, &sample, uploads).await;
        }
        assert_swept_clean(&stack, &ada, &ids).await;
    }
}

#[tokio::test]
async fn a_refusal_killed_at_any_request_to_s3_is_refused_or_gone_and_leaves_nothing() {
    let sample = crate::api::setup::of("image/gif", crate::api::files::gif(2));
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for request in 0..4 {
        let id = ada.sent(&sample).await;
        killed_at(&stack, &ada.again(&stack), &id, request).await;
        let answer = ada.complete(&id).await;
        assert!([422, 404].contains(&answer.status.as_u16()), "{}", answer.body);
        assert_eq!(stack.stored_bytes(&ada.session).await, 0);
        assert_eq!(ada.complete(&id).await.status, 404);
    }
    stack.clock.advance(Duration::from_mins(6));
    stack.sweep(&stack.owner_url()).await;
    assert_eq!(stack.s3.all_versions(""), 0);
    assert_eq!(crate::api::setup::count(&stack, "select count(*) from uploads").await, 0);
}
