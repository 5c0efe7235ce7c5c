//! Requests of pages.

use super::*;

/// Asks whether a page of `origin` may send `method` with `headers`.
async fn preflight(s3: &LocalS3, origin: &str, method: &str, headers: &str) -> Answer {
    let asked = Upload {
        method: "OPTIONS".to_owned(),
        url: format!("{}/{BUCKET}/{KEY}", s3.url()),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let asked = asked.with("origin", origin).with("access-control-request-method", method);
    asked.with("access-control-request-headers", headers).send().await
}

#[tokio::test]
async fn a_page_of_the_app_may_upload() {
    let (s3, _) = start().await;
    let headers = "content-type,if-none-match,x-amz-checksum-sha256";
    let answer = preflight(&s3, ORIGIN, "PUT", headers).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.header("access-control-allow-headers"), Some(headers));
    assert_eq!(answer.header("access-control-max-age"), Some("300"));
    assert!(answer.header("vary").unwrap().contains("Origin"));
}

#[tokio::test]
async fn other_origins_methods_and_headers_are_refused() {
    let (s3, _) = start().await;
    for (origin, method, headers) in [
        ("https://evil.example.com", "PUT", "content-type"),
        ("https://chat.example.com.evil.com", "PUT", "content-type"),
        ("http://chat.example.com", "PUT", "content-type"),
        ("null", "PUT", "content-type"),
        (ORIGIN, "GET", ""),
        (ORIGIN, "DELETE", "content-type"),
        (ORIGIN, "PUT", "content-type,x-amz-acl"),
    ] {
        let answer = preflight(&s3, origin, method, headers).await;
        assert_eq!(answer.outcome(), (403, "AccessForbidden"), "{origin} {method} {headers}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn a_preflight_without_an_origin_is_a_bad_request() {
    let (s3, _) = start().await;
    let url = format!("{}/{BUCKET}/{KEY}", s3.url());
    let asked = Upload { method: "OPTIONS".to_owned(), url, headers: Vec::new(), body: Vec::new() };
    assert_eq!(asked.send().await.outcome(), (400, "BadRequest"));
}

#[tokio::test]
async fn only_a_page_of_the_app_may_read_the_answer() {
    let (_s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    let other = upload.clone().with("origin", "https://evil.example.com").send().await;
    // CORS protects pages from one another, not the bucket from a valid signature.
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, None));
    assert_eq!(other.header("access-control-expose-headers"), None);

    // A refusal, too, must be readable.
    let refused = upload.with("origin", ORIGIN).send().await;
    assert_eq!(refused.outcome(), (412, "PreconditionFailed"));
    assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(refused.header("access-control-expose-headers"), Some("ETag"));
    assert!(refused.header("vary").unwrap().contains("Origin"));
}

#[tokio::test]
async fn a_page_may_not_read_a_download_which_no_rule_allows() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let get = client.get_object().bucket(BUCKET).key("clean/1").presigned(fresh()).await.unwrap();
    let answer = Upload::of(&get).body(b"").with("origin", ORIGIN).send().await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
}
