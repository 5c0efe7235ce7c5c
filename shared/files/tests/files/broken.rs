//! An S3 that says no, breaks off, or falls silent.

use std::time::{Duration, Instant};

use shared_core::uploads::FileForm;
use shared_files::FilesError;

use crate::setup::{ADA, ONE, Reply, Scripted, cut_short, reply};

fn error(status: &str, code: &str) -> Reply {
    reply(status, &format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

/// What S3 answers to HEAD: no body, which would say why.
fn bare(status: &str) -> Reply {
    Reply { body: String::new(), ..reply(status, "") }
}

/// S3 describes an object, and refuses everything else about it.
fn described_and(refusal: Reply) -> impl Fn(&str) -> Reply + Send + Sync {
    move |line| match line {
        head if head.starts_with("HEAD ") => cut_short(5, "", false),
        _ => refusal.clone(),
    }
}

#[tokio::test]
async fn an_object_that_may_not_be_seen_is_one_that_is_not_there() {
    for status in ["403 Forbidden", "404 Not Found"] {
        let s3 = Scripted::always(bare(status)).await;
        assert_eq!(s3.files.received(ADA, ONE).await.unwrap(), None, "{status}");
        assert_eq!(s3.asked(), 1);
    }
    for (status, code) in
        [("404 Not Found", "NoSuchKey"), ("412 Precondition Failed", "PreconditionFailed")]
    {
        let s3 = Scripted::start(described_and(error(status, code))).await;
        assert_eq!(s3.files.read(ADA, ONE, FileForm::Model, 9).await.unwrap(), None, "{status}");
        let received = s3.files.received(ADA, ONE).await.unwrap().unwrap();
        assert_eq!(s3.files.read_received(&received).await.unwrap(), None, "{status}");
        let kept = s3.files.keep_received(&received, ADA, ONE, FileForm::Model, "application/pdf");
        assert!(!kept.await.unwrap(), "{status}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_not_taken_for_a_missing_object() {
    for code in
        ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"]
    {
        let s3 = Scripted::always(error("403 Forbidden", code)).await;
        let read = s3.files.read(ADA, ONE, FileForm::Model, 9).await;
        assert!(matches!(read, Err(FilesError::Call(_))), "{code}: {read:?}");
    }
    // What a role may not read looks like what is not there. A copy that is refused is an error, which `inspect` ignores if
    // another request has completed the upload.
    let s3 = Scripted::start(described_and(error("403 Forbidden", "AccessDenied"))).await;
    assert_eq!(s3.files.read(ADA, ONE, FileForm::Model, 9).await.unwrap(), None);
    let received = s3.files.received(ADA, ONE).await.unwrap().unwrap();
    let kept =
        s3.files.keep_received(&received, ADA, ONE, FileForm::Model, "application/pdf").await;
    assert!(matches!(kept, Err(FilesError::Call(_))), "{kept:?}");
}

#[tokio::test]
async fn a_write_that_is_refused_is_an_error() {
    let s3 = Scripted::start(described_and(error("403 Forbidden", "AccessDenied"))).await;
    let bytes = "x".as_bytes().into();
    let kept = s3.files.keep(ADA, ONE, FileForm::View, bytes, "image/png").await;
    assert!(matches!(kept, Err(FilesError::Call(_))), "{kept:?}");
    let received = s3.files.received(ADA, ONE).await.unwrap().unwrap();
    assert!(matches!(s3.files.discard(&received).await, Err(FilesError::Call(_))));
    assert!(matches!(s3.files.remove(ADA, ONE).await, Err(FilesError::Call(_))));
}

#[tokio::test]
async fn an_s3_that_fails_is_asked_three_times_and_is_not_taken_for_an_empty_one() {
    for (status, code) in
        [("500 Internal Server Error", "InternalError"), ("503 Slow Down", "SlowDown")]
    {
        let s3 = Scripted::always(error(status, code)).await;
        let read = s3.files.read(ADA, ONE, FileForm::Model, 9).await;
        assert!(matches!(read, Err(FilesError::Call(_))), "{status}: {read:?}");
        assert_eq!(s3.asked(), 3);
        let received = s3.files.received(ADA, ONE).await;
        assert!(matches!(received, Err(FilesError::Call(_))), "{status}: {received:?}");
    }
}

#[tokio::test]
async fn an_error_within_a_successful_copy_is_an_error() {
    // S3 begins its answer before it has copied.
    let late = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
    let s3 = Scripted::start(described_and(reply("200 OK", late))).await;
    let received = s3.files.received(ADA, ONE).await.unwrap().unwrap();
    let kept =
        s3.files.keep_received(&received, ADA, ONE, FileForm::Model, "application/pdf").await;
    assert!(kept.is_err(), "{kept:?}");
}

#[tokio::test]
async fn an_object_that_is_larger_than_the_limit_is_not_read() {
    let s3 = Scripted::always(cut_short(10, "0123456789", false)).await;
    let read = s3.files.read(ADA, ONE, FileForm::Model, 9).await;
    assert!(matches!(read, Err(FilesError::TooLarge)), "{read:?}");
    let read = s3.files.read(ADA, ONE, FileForm::Model, 10).await.unwrap().unwrap();
    assert_eq!(&*read, b"0123456789");
    // Nothing is allocated for what it claims.
    let s3 = Scripted::always(cut_short(1 << 40, "0123456789", false)).await;
    let read = s3.files.read(ADA, ONE, FileForm::Model, 1 << 20).await;
    assert!(matches!(read, Err(FilesError::TooLarge)), "{read:?}");
}

#[tokio::test]
async fn an_object_that_breaks_off_is_an_error() {
    for begun in ["", "01234"] {
        let s3 = Scripted::always(cut_short(10, begun, false)).await;
        let read = s3.files.read(ADA, ONE, FileForm::Model, 100).await;
        assert!(matches!(read, Err(FilesError::BrokeOff)), "{begun}: {read:?}");
    }
}

#[tokio::test]
async fn an_object_that_stalls_is_given_up_after_some_seconds() {
    let s3 = Scripted::always(cut_short(10, "01234", true)).await;
    let began = Instant::now();
    let read = s3.files.read(ADA, ONE, FileForm::Model, 100).await;
    assert!(matches!(read, Err(FilesError::BrokeOff)), "{read:?}");
    let taken = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&taken), "{taken:?}");
}
