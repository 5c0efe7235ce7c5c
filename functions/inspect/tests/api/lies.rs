//! Files that are not what they claim to be.

use testkit::{Answer, TestStack};

use crate::api::files::{gif, jpeg, pdf, png};
use crate::api::setup::{Sample, User, in_state, of, refused, samples, upload};

/// Fails unless the file was refused for this reason, is gone everywhere, and takes no storage.
async fn assert_gone(
    stack: &TestStack,
    user: &User,
    id: &str,
    answer: &Answer,
    expected: (&str, &str),
) {
    let (code, because) = expected;
    assert_eq!(answer.refusal(), refused(422, code), "{}", answer.body);
    let error = &answer.json()["error"];
    match code {
        "file_unreadable" => assert_eq!(error["details"]["because"], because),
        _ => assert!(error["message"].to_string().contains(because), "{error} {because}"),
    }
    assert_eq!(stack.s3.all_versions(""), 0, "{because}");
    assert_eq!(stack.stored_bytes(&user.session).await, 0);
    assert_eq!(in_state(stack, "ready").await + in_state(stack, "pending").await, 0);
    // There is no second try.
    assert_eq!(user.complete(id).await.refusal(), refused(404, "upload_not_found"));
    assert_eq!(user.show(id).await.refusal(), refused(404, "upload_not_found"));
    assert_eq!(user.fetched(id).await.refusal(), refused(404, "upload_not_found"));
}

/// Sends it by its signed URL and completes it.
async fn assert_refused(sample: &Sample, code: &str, because: &str) {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.sent(sample).await;
    let answer = ada.complete(&id).await;
    assert_gone(&stack, &ada, &id, &answer, (code, because)).await;
    // The next file is welcome.
    let id = ada.sent(&samples()[0]).await;
    upload(&ada.complete(&id).await);
}

#[tokio::test]
async fn a_file_of_another_type_than_declared_is_deleted() {
    let html = b"<!doctype html><script>alert(1)</script>".to_vec();
    for (content_type, bytes, because) in [
        ("image/png", html.clone(), "does not begin"),
        ("application/pdf", html, "does not begin"),
        ("image/png", jpeg(8, 8), "JPEG"),
        ("image/jpeg", png(8, 8), "PNG"),
        ("image/webp", gif(1), "GIF"),
        ("text/plain", png(8, 8), "PNG"),
        ("text/plain", pdf(1, ""), "PDF"),
        ("application/pdf", b"PK\x03\x04 and more".to_vec(), "ZIP"),
        ("text/plain", b"MZ\x90\0\x03\0\0\0".to_vec(), "text"),
        ("text/csv", vec![0xff; 9], "text"),
    ] {
        assert_refused(&of(content_type, bytes), "file_not_as_declared", because).await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_deleted_and_says_why() {
    let photo = jpeg(64, 64);
    let report = pdf(1, "");
    for (content_type, bytes, because) in [
        ("image/jpeg", photo[..photo.len() / 2].to_vec(), "damaged"),
        ("image/jpeg", b"\xff\xd8\xff\xe0".to_vec(), "damaged"),
        ("image/png", png(8, 8)[..40].to_vec(), "damaged"),
        ("application/pdf", report[..report.len() - 9].to_vec(), "damaged"),
        ("application/pdf", pdf(1, "/Encrypt<</Filter/Standard/V 2/R 3>>"), "encrypted"),
        ("image/gif", gif(2), "animated"),
    ] {
        assert_refused(&of(content_type, bytes), "file_unreadable", because).await;
    }
}

#[tokio::test]
async fn an_object_that_is_not_the_declared_one_is_deleted() {
    for sample in samples() {
        let bytes = &sample.bytes;
        let mut changed = bytes.clone();
        let last = changed.last_mut().unwrap();
        *last = last.wrapping_add(1);
        for (bytes, content_type, because) in [
            ([&**bytes, b"x"].concat(), sample.content_type, "size"),
            (bytes[1..].to_vec(), sample.content_type, "size"),
            (bytes.clone(), "application/octet-stream", "type"),
            (changed, sample.content_type, "SHA-256"),
        ] {
            let stack = TestStack::start().await;
            let ada = User::new(&stack, "ada").await;
            let id = ada.smuggled(&stack, &sample, &bytes, content_type).await;
            let answer = ada.complete(&id).await;
            assert_gone(&stack, &ada, &id, &answer, ("file_not_as_declared", because)).await;
        }
    }
}

#[tokio::test]
async fn an_object_that_is_larger_than_declared_is_not_read() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let huge = vec![b'x'; 40 << 20];
    let id = ada.smuggled(&stack, &of("text/plain", b"x".to_vec()), &huge, "text/plain").await;
    stack.s3.clear_requests();
    let answer = ada.complete(&id).await;
    assert_gone(&stack, &ada, &id, &answer, ("file_not_as_declared", "size")).await;
    assert!(stack.s3.requests().iter().all(|request| request.method != http::Method::GET));
}

#[tokio::test]
async fn two_refusals_at_once_free_the_bytes_once() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let kept = ada.sent(&samples()[3]).await;
    upload(&ada.complete(&kept).await);
    let id = ada.sent(&of("image/gif", gif(2))).await;
    let other = ada.again(&stack);
    let (one, other) = tokio::join!(ada.complete(&id), other.complete(&id));
    for answer in [one, other] {
        // The later one may find nothing any more.
        assert!([422, 404, 409].contains(&answer.status.as_u16()), "{}", answer.body);
    }
    let bytes = i64::try_from(samples()[3].bytes.len()).unwrap();
    assert_eq!(stack.stored_bytes(&ada.session).await, bytes);
    assert_eq!(stack.s3.all_versions("quarantine/"), 0);
}
