//! What may be done with a presigned URL.

use local_s3::LocalS3;

use super::*;

/// Sends `upload`, which must change nothing.
async fn changes_nothing(s3: &LocalS3, upload: &Upload) -> (u16, String) {
    let before = (s3.keys(), s3.all_versions(""));
    let answer = upload.send().await;
    assert_eq!((s3.keys(), s3.all_versions("")), before, "{answer:?}");
    let (status, code) = answer.outcome();
    refused(status, code)
}

fn mismatch() -> (u16, String) {
    refused(403, "SignatureDoesNotMatch")
}

#[tokio::test]
async fn the_upload_that_was_signed_is_stored() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let mut names: Vec<_> = upload.headers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"]);
    assert!(upload.url.contains("SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256"), "{}", upload.url);
    let answer = upload.send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("etag").is_some() && answer.header("x-amz-version-id").is_some());
    assert_eq!(s3.object(KEY).await.unwrap(), (BODY.into(), PDF.to_owned()));
}

#[tokio::test]
async fn an_upload_of_another_size_is_refused() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let longer = upload.clone().with("content-length", "15").body(b"%PDF-1.7 hello!");
    assert_eq!(changes_nothing(&s3, &longer).await, mismatch());
    let shorter = upload.with("content-length", "3").body(b"%PD");
    assert_eq!(changes_nothing(&s3, &shorter).await, mismatch());
}

#[tokio::test]
async fn an_upload_of_another_type_is_refused() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let html = upload.with("content-type", "text/html");
    assert_eq!(changes_nothing(&s3, &html).await, mismatch());
}

#[tokio::test]
async fn an_upload_with_another_checksum_is_refused() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let other = b"%PDF-1.7 jello";
    let upload = upload.with("x-amz-checksum-sha256", &sha256(other)).body(other);
    assert_eq!(changes_nothing(&s3, &upload).await, mismatch());
}

#[tokio::test]
async fn a_body_that_does_not_match_its_checksum_is_refused_and_leaves_the_key_free() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let other = upload.clone().body(b"%PDF-1.7 jello");
    assert_eq!(changes_nothing(&s3, &other).await, refused(400, "BadDigest"));
    assert_eq!(upload.send().await.status, 200);
}

#[tokio::test]
async fn a_url_is_for_one_method_key_and_bucket() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let key = upload.clone().at("quarantine/7/", "quarantine/8/");
    assert_eq!(changes_nothing(&s3, &key).await, mismatch());
    let bucket = upload.clone().at("/uploads/", "/others/");
    assert_eq!(changes_nothing(&s3, &bucket).await, mismatch());
    for method in ["GET", "DELETE", "POST"] {
        let upload = Upload { method: method.to_owned(), ..upload.clone() };
        assert_eq!(changes_nothing(&s3, &upload).await, mismatch(), "{method}");
    }
    let query = upload.at("x-id=PutObject", "x-id=PutObject&tagging=");
    assert_eq!(changes_nothing(&s3, &query).await, mismatch());
}

#[tokio::test]
async fn a_url_without_one_of_its_signed_headers_is_refused() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    for name in ["content-type", "x-amz-checksum-sha256", "if-none-match"] {
        let without = upload.clone().without(name);
        assert_eq!(changes_nothing(&s3, &without).await, mismatch(), "{name}");
    }
    let chunked = upload.without("content-length").with("transfer-encoding", "chunked");
    let chunked = chunked.body(b"e\r\n%PDF-1.7 hello\r\n0\r\n\r\n");
    assert_eq!(changes_nothing(&s3, &chunked).await, mismatch());
}

#[tokio::test]
async fn signed_headers_cannot_be_taken_out_of_the_url() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let upload = upload.without("if-none-match").at("%3Bif-none-match", "");
    assert_eq!(changes_nothing(&s3, &upload).await, mismatch());
}

#[tokio::test]
async fn a_header_of_s3s_that_is_not_signed_is_refused() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    for name in ["x-amz-acl", "x-amz-meta-note", "x-amz-tagging", "x-amz-copy-source"] {
        let with = upload.clone().with(name, "uploads/clean/1");
        assert_eq!(changes_nothing(&s3, &with).await, refused(403, "AccessDenied"), "{name}");
    }
    let answer = upload.with("x-amz-acl", "public-read").send().await;
    let message = "There were headers present in the request which were not signed";
    assert!(answer.body.contains(message), "{answer:?}");
}

#[tokio::test]
async fn a_url_whose_length_is_not_signed_still_needs_one() {
    let (s3, client) = start().await;
    let put = client.put_object().bucket(BUCKET).key("clean/1");
    let upload = Upload::of(&put.presigned(fresh()).await.unwrap());
    let chunked = upload.with("transfer-encoding", "chunked").body(b"1\r\nx\r\n0\r\n\r\n");
    assert_eq!(changes_nothing(&s3, &chunked).await, refused(411, "MissingContentLength"));
}

#[tokio::test]
async fn a_second_put_is_refused() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    assert_eq!(upload.send().await.status, 200);
    assert_eq!(changes_nothing(&s3, &upload).await, refused(412, "PreconditionFailed"));
}

#[tokio::test]
async fn the_refusal_of_a_large_upload_reaches_its_client() {
    let (_s3, client) = start().await;
    let body = vec![b'x'; 8 * 1024 * 1024];
    let put = client.put_object().bucket(BUCKET).key(KEY).if_none_match("*");
    let upload = Upload::of(&put.presigned(fresh()).await.unwrap()).body(&body);
    let upload = upload.with("content-length", &body.len().to_string());
    assert_eq!(upload.send().await.status, 200);
    assert_eq!(upload.send().await.outcome(), (412, "PreconditionFailed"));
    let denied = upload.with("x-amz-acl", "private").send().await;
    assert_eq!(denied.outcome(), (403, "AccessDenied"));
}

#[tokio::test]
async fn of_puts_at_once_one_is_stored() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let (a, b, c, d) = tokio::join!(upload.send(), upload.send(), upload.send(), upload.send());
    let mut statuses = [a.status, b.status, c.status, d.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412]);
    assert_eq!(s3.all_versions(""), 1);
}

#[tokio::test]
async fn a_url_that_has_expired_is_refused() {
    let (s3, client) = start().await;
    let config = PresigningConfig::builder().start_time(past(120));
    let config = config.expires_in(Duration::from_mins(1)).build().unwrap();
    let upload = presigned(&client, KEY, config).await;
    assert_eq!(changes_nothing(&s3, &upload).await, refused(403, "AccessDenied"));
}

#[tokio::test]
async fn a_url_older_than_ten_minutes_is_refused_whatever_its_expiry() {
    let (s3, client) = start().await;
    let young = presigned(&client, KEY, signed_ago(590)).await;
    assert_eq!(young.send().await.status, 200);
    let old = presigned(&client, "quarantine/7/other", signed_ago(601)).await;
    assert_eq!(changes_nothing(&s3, &old).await, refused(403, "AccessDenied"));
    let get = client.get_object().bucket(BUCKET).key(KEY).presigned(signed_ago(601)).await.unwrap();
    let answer = Upload::of(&get).body(b"").send().await;
    assert_eq!(answer.outcome(), (403, "AccessDenied"));
    assert!(answer.body.contains("OnlyFreshSignatures"), "{answer:?}");
}

#[tokio::test]
async fn a_put_to_quarantine_that_could_replace_is_refused() {
    let (s3, client) = start().await;
    let put = client.put_object().bucket(BUCKET).key(KEY).content_length(14);
    let upload = Upload::of(&put.presigned(fresh()).await.unwrap());
    assert_eq!(changes_nothing(&s3, &upload).await, refused(403, "AccessDenied"));
    let put = client.put_object().bucket(BUCKET).key("clean/1").content_length(14);
    let upload = Upload::of(&put.presigned(fresh()).await.unwrap());
    assert_eq!(upload.send().await.status, 200);
    assert_eq!(s3.object("clean/1").await.unwrap().1, "binary/octet-stream");
}

#[tokio::test]
async fn anonymous_requests_are_refused() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let upload = presigned(&client, KEY, fresh()).await;
    let (anonymous, _) = upload.url.split_once('?').unwrap();
    let anonymous = Upload { url: anonymous.to_owned(), ..upload }.without("x-amz-checksum-sha256");
    assert_eq!(changes_nothing(&s3, &anonymous).await, refused(403, "AccessDenied"));
    let get = anonymous.at(KEY, "clean/1").body(b"").without("content-length");
    let get = Upload { method: "GET".to_owned(), ..get };
    assert_eq!(changes_nothing(&s3, &get).await, refused(403, "AccessDenied"));
}

#[tokio::test]
async fn a_signature_of_another_secret_or_key_or_version_is_refused() {
    let (s3, good) = start().await;
    let wrong = client_of(&s3, |secret| secret + "x");
    let upload = presigned(&wrong, KEY, fresh()).await;
    assert_eq!(changes_nothing(&s3, &upload).await, mismatch());
    let listed = wrong.list_object_versions().bucket(BUCKET).send().await;
    assert_eq!(refusal(listed), mismatch());

    let upload = presigned(&good, KEY, fresh()).await;
    let other = upload.clone().at("AKIATESTTESTTESTTEST", "AKIATESTTESTTESTOTHE");
    assert_eq!(changes_nothing(&s3, &other).await, refused(403, "InvalidAccessKeyId"));
    let twice = upload.clone().with("authorization", "Bearer x");
    assert_eq!(changes_nothing(&s3, &twice).await, refused(400, "InvalidArgument"));
    let (path, _) = upload.url.split_once('?').unwrap();
    let path = format!("{path}?AWSAccessKeyId=AKIATESTTESTTESTTEST&Expires=9999999999&Signature=x");
    let version_2 = Upload { url: path, ..upload };
    assert_eq!(changes_nothing(&s3, &version_2).await.0, 403);
}

#[tokio::test]
async fn a_presigned_download_says_how_the_browser_treats_it() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, "text/html").await.unwrap();
    let disposition = "attachment; filename=\"report.pdf\"";
    let get = client.get_object().bucket(BUCKET).key("clean/1").response_content_type(PDF);
    let get = get.response_content_disposition(disposition);
    let get = get.response_cache_control("private, max-age=60").presigned(fresh()).await.unwrap();
    let download = Upload::of(&get).body(b"");
    let answer = download.send().await;
    assert_eq!((answer.status, answer.body.as_bytes()), (200, BODY));
    assert_eq!(answer.header("content-type"), Some(PDF));
    assert_eq!(answer.header("content-disposition"), Some(disposition));
    assert_eq!(answer.header("cache-control"), Some("private, max-age=60"));
    let changed = download.at("attachment", "inline");
    assert_eq!(changes_nothing(&s3, &changed).await, mismatch());
}

#[expect(clippy::disallowed_methods, reason = "signatures are verified by this clock")]
fn past(seconds: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(seconds)
}
