//! Completions at once.

use std::time::Duration;

use futures_util::future::join_all;
use testkit::{TestStack, put_file};

use crate::api::setup::{User, expect, in_state, samples, upload};

#[tokio::test]
async fn completions_at_once_are_one() {
    for at_once in [2, 10] {
        let stack = TestStack::start().await;
        let ada = User::new(&stack, "ada").await;
        let mut bytes = 0;
        for (number, sample) in samples().into_iter().enumerate() {
            let id = ada.sent(&sample).await;
            let instances: Vec<_> = (0..at_once).map(|_| ada.again(&stack)).collect();
            let answers = join_all(instances.iter().map(|ada| ada.complete(&id))).await;
            let uploads: Vec<_> = answers.iter().map(upload).collect();
            assert!(uploads.iter().all(|one| *one == uploads[0]), "{uploads:?}");
            assert_eq!(ada.forms(&stack, &id), sample.forms);
            assert_eq!(stack.s3.all_versions("quarantine/"), 0);
            expect(200, ada.fetched(&id).await);
            bytes += i64::try_from(sample.bytes.len()).unwrap();
            assert_eq!(stack.stored_bytes(&ada.session).await, bytes);
            assert_eq!(in_state(&stack, "ready").await, i64::try_from(number + 1).unwrap());
        }
    }
}

/// Deterministic: the refusal is halted at the upload's row, which is completed meanwhile.
#[tokio::test]
async fn a_slow_refusal_deletes_nothing_that_is_completed() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.presign.sent("a.png", "image/png", b"<script>").await;
    let owner = stack.owner().await;
    owner.batch_execute("begin; select from uploads for update").await.unwrap();
    let complete = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ready = "update uploads
                        set state = 'ready', media_type = 'image/png', model_type = 'image/png', model_bytes = 1,
                            tokens = 1, removal_at = null;
                     commit";
        owner.batch_execute(ready).await.unwrap();
    };
    let (answer, ()) = tokio::join!(ada.complete(&id), complete);
    upload(&answer);
    assert_eq!(stack.stored_bytes(&ada.session).await, 8);
    assert_eq!(in_state(&stack, "ready").await, 1);
}

#[tokio::test]
async fn after_completion_the_signed_url_brings_no_second_file() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let sample = &samples()[3];
    let declared = ada.presign.declare("a.md", sample.content_type, &sample.bytes).await;
    let id = declared["id"].as_str().unwrap();
    expect(200, put_file(&declared, &sample.bytes).await);
    upload(&ada.complete(id).await);
    let forms = ada.forms(&stack, id);
    // The key is free again, and the URL is good for some minutes: it takes the same bytes, and nothing comes of it.
    put_file(&declared, &sample.bytes).await;
    upload(&ada.complete(id).await);
    assert_eq!(ada.forms(&stack, id), forms);
    assert_eq!(stack.s3.all_versions(&ada.clean(id)), forms.len());
}
