//! Removing all objects of an upload.

use local_s3::Operation;
use shared_aws::Aws;
use shared_core::env::Env;
use shared_files::FilesError;

use crate::setup::{ADA, EVE, ONE, OTHER, Scripted, reply, s3};

/// Two pages.
const VERSIONS: usize = 1010;

#[tokio::test]
async fn thousands_of_versions_are_removed_and_no_others() {
    let (s3, files) = s3().await;
    let key = format!("quarantine/{ADA}/{ONE}");
    for _ in 0..VERSIONS {
        s3.put(&key, &b"x"[..], "text/plain").await.unwrap();
    }
    let others = [
        format!("quarantine/{ADA}/{OTHER}"),
        format!("clean/{ADA}/{OTHER}/view"),
        format!("quarantine/{EVE}/{ONE}"),
        format!("clean/{EVE}/{ONE}/model"),
    ];
    let own = ["view", "model", "thumb"].map(|form| format!("clean/{ADA}/{ONE}/{form}"));
    for key in others.iter().chain(&own) {
        s3.put(key, &b"x"[..], "text/plain").await.unwrap();
    }
    assert_eq!(s3.all_versions(""), VERSIONS + 7);
    files.remove(ADA, ONE).await.unwrap();
    let mut left = s3.keys();
    let mut expected = others.to_vec();
    left.sort();
    expected.sort();
    assert_eq!((left, s3.all_versions("")), (expected, 4));
    let deletions = s3.requests();
    let deletions =
        deletions.iter().filter(|request| request.operation == Operation::DeleteObjects);
    assert_eq!(deletions.count(), 3, "two pages, and one of what is clean");
}

#[tokio::test]
async fn an_object_behind_a_delete_marker_is_removed_with_it() {
    let (s3, files) = s3().await;
    let variables = s3.variables();
    let env = Env::new(|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    });
    let aws = Aws::from_env(&env).unwrap();
    let config = aws_sdk_s3::config::Builder::from(aws.sdk_config()).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    for key in [format!("quarantine/{ADA}/{ONE}"), format!("clean/{ADA}/{ONE}/view")] {
        s3.put(&key, &b"x"[..], "text/plain").await.unwrap();
        // Without a version, as a tool deletes it.
        client.delete_object().bucket(local_s3::BUCKET).key(key).send().await.unwrap();
    }
    assert_eq!((s3.keys().len(), s3.all_versions("")), (0, 4));
    files.remove(ADA, ONE).await.unwrap();
    assert_eq!(s3.all_versions(""), 0);
}

#[tokio::test]
async fn removing_what_is_not_there_deletes_nothing() {
    let (s3, files) = s3().await;
    files.remove(ADA, ONE).await.unwrap();
    files.remove(ADA, ONE).await.unwrap();
    let is_list = |operation| operation == Operation::ListObjectVersions;
    let requests = s3.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| is_list(request.operation)), "{requests:?}");
}

#[tokio::test]
async fn removing_twice_at_once_removes_once() {
    let (s3, files) = s3().await;
    for _ in 0..30 {
        s3.put(&format!("clean/{ADA}/{ONE}/view"), &b"x"[..], "text/plain").await.unwrap();
    }
    let (one, other) = tokio::join!(files.remove(ADA, ONE), files.remove(ADA, ONE));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(s3.all_versions(""), 0);
}

#[tokio::test]
async fn an_object_that_s3_keeps_is_an_error() {
    let list = "<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>quarantine/x</Key>\
        <VersionId>1</VersionId><IsLatest>true</IsLatest></Version></ListVersionsResult>";
    let kept = "<DeleteResult><Error><Key>quarantine/x</Key><Code>AccessDenied</Code></Error></DeleteResult>";
    let s3 = Scripted::start(move |line| {
        let body = if line.starts_with("POST") { kept } else { list };
        reply("200 OK", body)
    });
    let removed = s3.await.files.remove(ADA, ONE).await;
    assert!(
        matches!(&removed, Err(FilesError::NotRemoved { code }) if code == "AccessDenied"),
        "{removed:?}"
    );
}
