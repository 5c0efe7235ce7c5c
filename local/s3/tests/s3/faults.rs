//! An S3 that fails, and what it has been asked.

use local_s3::{Operation, Request};

use super::*;

#[tokio::test]
async fn a_stopped_s3_refuses_connections_and_keeps_its_data() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("clean/1");
    assert!(head.clone().send().await.is_ok());
    s3.stop().await;
    assert!(head.clone().send().await.unwrap_err().raw_response().is_none());
    s3.start_again().await.unwrap();
    assert!(head.send().await.is_ok());
}

#[tokio::test]
async fn requests_hang_and_are_not_executed_until_s3_resumes() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let other = presigned(&client, "quarantine/7/other", fresh()).await;
    s3.hang_after(1);
    assert_eq!(upload.send().await.status, 200);
    let hanging = tokio::time::timeout(Duration::from_millis(200), other.send()).await;
    assert!(hanging.is_err());
    s3.resume();
    assert_eq!(s3.keys(), [KEY]);
    assert_eq!(other.send().await.status, 200);
}

#[tokio::test]
async fn a_response_is_lost_of_a_request_that_is_executed() {
    let (s3, client) = start().await;
    s3.lose_response_after(1);
    let first = presigned(&client, KEY, fresh()).await;
    assert_eq!(first.send().await.status, 200);
    let lost = presigned(&client, "quarantine/7/other", fresh()).await;
    assert!(lost.attempted().await.is_none());
    assert_eq!(s3.keys().len(), 2);
    assert_eq!(lost.send().await.outcome(), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn requests_are_logged_by_operation_and_key() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    upload.send().await;
    let copy =
        client.copy_object().bucket(BUCKET).key("clean/a b").copy_source(format!("{BUCKET}/{KEY}"));
    copy.send().await.unwrap();
    client.head_object().bucket(BUCKET).key("clean/a b").send().await.unwrap();
    client.get_object().bucket(BUCKET).key("clean/a b").send().await.unwrap();
    client.delete_object().bucket(BUCKET).key(KEY).send().await.unwrap();
    client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    let log: Vec<_> = s3.requests().into_iter().map(|it| (it.operation, it.key)).collect();
    let expected = [
        (Operation::PutObject, KEY),
        (Operation::CopyObject, "clean/a b"),
        (Operation::HeadObject, "clean/a b"),
        (Operation::GetObject, "clean/a b"),
        (Operation::DeleteObject, KEY),
        (Operation::ListObjectVersions, ""),
    ];
    assert_eq!(log, expected.map(|(operation, key)| (operation, key.to_owned())));

    s3.clear_requests();
    assert!(s3.requests().is_empty());
    // A refused request is logged as well.
    upload.with("content-type", "text/html").send().await;
    let request =
        Request { method: http::Method::PUT, key: KEY.to_owned(), operation: Operation::PutObject };
    assert_eq!(s3.requests(), [request]);
}
