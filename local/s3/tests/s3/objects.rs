//! Objects, as the product writes and reads them through AWS's SDK.

use aws_sdk_s3::types::{ChecksumMode, MetadataDirective};

use super::*;

#[tokio::test]
async fn what_was_put_is_described_and_read() {
    let (_s3, client) = start().await;
    let put = client.put_object().bucket(BUCKET).key("clean/1").content_type(PDF);
    let put = put.checksum_sha256(sha256(BODY)).body(BODY.to_vec().into()).send().await.unwrap();
    assert!(put.e_tag().is_some() && put.version_id().is_some());

    let head = client.head_object().bucket(BUCKET).key("clean/1");
    let plain = head.clone().send().await.unwrap();
    assert_eq!((plain.content_length(), plain.content_type()), (Some(14), Some(PDF)));
    assert_eq!((plain.e_tag(), plain.version_id()), (put.e_tag(), put.version_id()));
    assert_eq!(plain.checksum_sha256(), None);
    let checked = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(checked.checksum_sha256(), Some(&*sha256(BODY)));

    let got = client.get_object().bucket(BUCKET).key("clean/1").send().await.unwrap();
    assert_eq!((got.content_type(), got.version_id()), (Some(PDF), put.version_id()));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), BODY);
}

#[tokio::test]
async fn an_upload_of_the_sdk_with_its_default_checksum_is_stored() {
    let (s3, client) = start().await;
    // Of several chunks on the wire.
    let body = vec![b'x'; 300_000];
    let put = client.put_object().bucket(BUCKET).key("clean/1").body(body.clone().into());
    put.send().await.unwrap();
    let (stored, content_type) = s3.object("clean/1").await.unwrap();
    assert!(stored == body, "{} bytes", stored.len());
    assert_eq!(content_type, "application/octet-stream");
}

#[tokio::test]
async fn part_of_an_object_is_read() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let get = client.get_object().bucket(BUCKET).key("clean/1");
    let first = get.clone().range("bytes=0-3").send().await.unwrap();
    assert_eq!(first.content_range(), Some("bytes 0-3/14"));
    assert_eq!(first.body.collect().await.unwrap().to_vec(), b"%PDF");
    let last = get.clone().range("bytes=-5").send().await.unwrap();
    assert_eq!(last.body.collect().await.unwrap().to_vec(), b"hello");
    assert_eq!(refusal(get.range("bytes=14-").send().await), refused(416, "InvalidRange"));
}

#[tokio::test]
async fn a_missing_key_is_not_found() {
    let (_s3, client) = start().await;
    let get = client.get_object().bucket(BUCKET).key("clean/1").send().await;
    assert_eq!(refusal(get), refused(404, "NoSuchKey"));
    let head = client.head_object().bucket(BUCKET).key("clean/1").send().await;
    assert!(head.unwrap_err().into_service_error().is_not_found());
    let other = client.get_object().bucket("others").key("clean/1").send().await;
    assert_eq!(refusal(other), refused(404, "NoSuchBucket"));
}

#[tokio::test]
async fn a_read_may_require_an_e_tag() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("clean/1").send().await.unwrap();
    let e_tag = head.e_tag().unwrap();
    let get = client.get_object().bucket(BUCKET).key("clean/1");
    assert!(get.clone().if_match(e_tag).send().await.is_ok());
    let other = get.clone().if_match("\"other\"").send().await;
    assert_eq!(refusal(other), refused(412, "PreconditionFailed"));
    assert_eq!(refusal(get.if_none_match(e_tag).send().await).0, 304);
}

#[tokio::test]
async fn a_copy_has_the_bytes_and_its_own_type() {
    let (s3, client) = start().await;
    let put = client.put_object().bucket(BUCKET).key(KEY).content_type("text/html");
    let put = put.if_none_match("*").checksum_sha256(sha256(BODY)).body(BODY.to_vec().into());
    let put = put.send().await.unwrap();
    let copy = client.copy_object().bucket(BUCKET).copy_source(format!("{BUCKET}/{KEY}"));
    let copied = copy.clone().key("clean/1").copy_source_if_match(put.e_tag().unwrap());
    let copied = copied.metadata_directive(MetadataDirective::Replace).content_type(PDF);
    let copied = copied.send().await.unwrap();
    assert_eq!(copied.copy_source_version_id(), put.version_id());
    assert_eq!(copied.copy_object_result().unwrap().e_tag(), put.e_tag());
    assert_eq!(s3.object("clean/1").await.unwrap(), (BODY.into(), PDF.to_owned()));
    assert_eq!(s3.object(KEY).await.unwrap().1, "text/html");

    let head = client.head_object().bucket(BUCKET).key("clean/1");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(head.version_id(), copied.version_id());
    assert_eq!(head.checksum_sha256(), Some(&*sha256(BODY)));

    copy.key("clean/2").send().await.unwrap();
    assert_eq!(s3.object("clean/2").await.unwrap(), (BODY.into(), "text/html".to_owned()));
}

#[tokio::test]
async fn a_copy_of_another_e_tag_is_refused() {
    let (s3, client) = start().await;
    s3.put(KEY, BODY, PDF).await.unwrap();
    let copy = client.copy_object().bucket(BUCKET).key("clean/1");
    let copy = copy.copy_source(format!("{BUCKET}/{KEY}"));
    let other = copy.clone().copy_source_if_match("\"other\"").send().await;
    assert_eq!(refusal(other), refused(412, "PreconditionFailed"));
    let missing = copy.clone().copy_source(format!("{BUCKET}/quarantine/none")).send().await;
    assert_eq!(refusal(missing), refused(404, "NoSuchKey"));
    assert_eq!(s3.keys(), [KEY]);
    copy.clone().if_none_match("*").send().await.unwrap();
    let second = copy.if_none_match("*").send().await;
    assert_eq!(refusal(second), refused(412, "PreconditionFailed"));
    assert_eq!(s3.all_versions("clean/"), 1);
}

#[tokio::test]
async fn a_copy_into_quarantine_is_denied_as_an_upload_is() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let copy = client.copy_object().bucket(BUCKET).key(KEY);
    let copy = copy.copy_source(format!("{BUCKET}/clean/1")).send().await;
    assert_eq!(refusal(copy), refused(403, "AccessDenied"));
}

#[tokio::test]
async fn keys_are_not_paths() {
    let (s3, client) = start().await;
    for key in ["clean/../../x", "clean/a/b", "clean/a", "clean/ä b+c%2F", "clean/x/"] {
        let put = client.put_object().bucket(BUCKET).key(key).body(key.as_bytes().to_vec().into());
        put.send().await.unwrap();
        assert_eq!(s3.object(key).await.unwrap().0, key, "{key}");
        assert!(client.head_object().bucket(BUCKET).key(key).send().await.is_ok(), "{key}");
    }
    assert_eq!(s3.keys().len(), 5);
}
