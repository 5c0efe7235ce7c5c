//! What S3 refuses of a client that has a signed URL.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use http::{HeaderValue, Method, Request, Uri};
use serde_json::Value;
use testkit::{TestStack, put_file, put_request, send_http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::setup::{User, back, expect, key_of};

const FILE: &[u8] = b"hello";

async fn declared(stack: &TestStack) -> Value {
    User::new(stack, "ada").await.client.declare("a.txt", "text/plain", FILE).await
}

fn signed(declared: &Value) -> Request<Bytes> {
    put_request(declared, FILE)
}

/// Sends a request that was changed, and fails unless S3 refuses it with `status`, and keeps nothing. The signed request
/// works afterwards.
async fn assert_refused(what: &str, status: u16, change: impl FnOnce(&mut Request<Bytes>)) {
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    let mut request = signed(&declared);
    change(&mut request);
    let answer = send_http(request).await;
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert_eq!(stack.s3.all_versions(""), 0, "{what}");
    expect(200, put_file(&declared, FILE).await);
}

fn uri_with(request: &Request<Bytes>, from: &str, to: &str) -> Uri {
    let uri = request.uri().to_string();
    assert!(uri.contains(from), "{uri}");
    uri.replacen(from, to, 1).parse().unwrap()
}

#[tokio::test]
async fn a_file_of_another_size_is_refused() {
    for body in [&b"hell"[..], b"hello!", b"", &vec![b'x'; 100_000]] {
        assert_refused("size", 403, |request| *request.body_mut() = Bytes::copy_from_slice(body))
            .await;
    }
}

#[tokio::test]
async fn other_bytes_of_the_declared_size_are_refused_by_their_checksum() {
    assert_refused("bytes", 400, |request| *request.body_mut() = Bytes::from_static(b"jello"))
        .await;
}

#[tokio::test]
async fn each_signed_header_has_to_be_sent_as_it_was_signed() {
    for (name, other) in [
        ("content-type", "text/html"),
        ("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ("if-none-match", "\"x\""),
        ("host", "uploads.example.com"),
    ] {
        let value = HeaderValue::from_static(other);
        assert_refused(name, 403, |request| drop(request.headers_mut().insert(name, value))).await;
    }
    for name in ["content-type", "x-amz-checksum-sha256", "if-none-match"] {
        assert_refused(name, 403, |request| drop(request.headers_mut().remove(name).unwrap()))
            .await;
    }
}

#[tokio::test]
async fn another_header_of_s3_is_refused() {
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-note", "x"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-website-redirect-location", "https://example.com"),
        ("x-amz-copy-source", "uploads/clean/x"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ] {
        let value = HeaderValue::from_static(value);
        assert_refused(name, 403, |request| drop(request.headers_mut().insert(name, value))).await;
    }
}

#[tokio::test]
async fn another_key_bucket_or_parameter_is_refused() {
    let other = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    let key = key_of(declared["url"].as_str().unwrap()).to_owned();
    let (user, id) = key.strip_prefix("quarantine/").unwrap().split_once('/').unwrap();
    for (from, to) in [
        (id, other),
        (user, other),
        ("/quarantine/", "/clean/"),
        (&*key, &*format!("{key}/view")),
        (&*format!("/{id}"), ""),
        ("X-Amz-Expires=300", "X-Amz-Expires=600"),
        ("X-Amz-Expires=300", "X-Amz-Expires=300&x-amz-acl=public-read"),
        ("if-none-match%3B", ""),
    ] {
        let mut request = signed(&declared);
        *request.uri_mut() = uri_with(&request, from, to);
        let answer = send_http(request).await;
        assert_eq!(answer.status, 403, "{from} -> {to}: {}", answer.body);
    }
    let mut request = signed(&declared);
    *request.uri_mut() = uri_with(&request, "/uploads/", "/downloads/");
    assert!(send_http(request).await.status.is_client_error());
    assert_eq!(stack.s3.all_versions(""), 0);
}

#[tokio::test]
async fn another_method_is_refused() {
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    expect(200, put_file(&declared, FILE).await);
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST, Method::PATCH] {
        let mut request = signed(&declared);
        *request.method_mut() = method.clone();
        let answer = send_http(request).await;
        assert!(answer.status.is_client_error(), "{method}: {} {}", answer.status, answer.body);
        assert!(!answer.body.contains("hello"), "{method}");
    }
    assert_eq!((stack.s3.keys().len(), stack.s3.all_versions("")), (1, 1));
}

#[tokio::test]
async fn a_second_file_is_refused_and_the_first_one_stays() {
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    expect(200, put_file(&declared, FILE).await);
    assert_eq!(put_file(&declared, FILE).await.status, 412);
    assert_eq!(stack.s3.all_versions(""), 1);
}

#[tokio::test]
async fn of_two_files_at_once_one_is_stored() {
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    let puts = (0..10).map(|_| put_file(&declared, FILE));
    let answers = futures_util::future::join_all(puts).await;
    let stored = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| [409, 412].contains(&answer.status.as_u16()));
    assert_eq!((stored, refused.count(), stack.s3.all_versions("")), (1, 9, 1));
}

#[tokio::test]
async fn after_five_minutes_the_url_is_refused() {
    let stack = TestStack::start().await;
    back(&stack, Duration::from_secs(301));
    let declared = declared(&stack).await;
    assert_eq!(put_file(&declared, FILE).await.status, 403);
    assert_eq!(stack.s3.all_versions(""), 0);

    let stack = TestStack::start().await;
    back(&stack, Duration::from_mins(4));
    let declared = self::declared(&stack).await;
    expect(200, put_file(&declared, FILE).await);
}

/// Sends a request whose head is written here, and returns the status of the answer.
async fn raw(url: &str, headers: &str, body: &[u8]) -> String {
    let uri: Uri = url.parse().unwrap();
    let authority = uri.authority().unwrap().as_str();
    let mut socket = TcpStream::connect(authority).await.unwrap();
    let path = uri.path_and_query().unwrap();
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_chunked_body_without_a_length_is_refused() {
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    let (url, mut headers) = (declared["url"].as_str().unwrap(), String::new());
    for (name, value) in declared["headers"].as_object().unwrap() {
        write!(headers, "{name}: {}\r\n", value.as_str().unwrap()).unwrap();
    }
    let chunked = format!("{headers}transfer-encoding: chunked\r\n");
    assert_ne!(raw(url, &chunked, b"5\r\nhello\r\n0\r\n\r\n").await, "200");
    // As long as was declared, in the part that is not chunked.
    let decoded = format!("{chunked}x-amz-decoded-content-length: 5\r\n");
    assert_ne!(raw(url, &decoded, b"5\r\nhello\r\n0\r\n\r\n").await, "200");
    assert_eq!(stack.s3.all_versions(""), 0);
    assert_eq!(raw(url, &format!("{headers}content-length: 5\r\n"), FILE).await, "200");
}

#[tokio::test]
async fn a_page_of_the_app_may_send_a_file_and_another_one_may_not() {
    let stack = TestStack::start().await;
    let declared = declared(&stack).await;
    let ask = async |origin: &'static str| {
        let mut request = signed(&declared);
        *request.method_mut() = Method::OPTIONS;
        *request.body_mut() = Bytes::new();
        let headers = request.headers_mut();
        headers.clear();
        headers.insert("origin", HeaderValue::from_static(origin));
        headers.insert("access-control-request-method", HeaderValue::from_static("PUT"));
        let asked = "content-type,if-none-match,x-amz-checksum-sha256";
        headers.insert("access-control-request-headers", HeaderValue::from_static(asked));
        send_http(request).await
    };
    let answer = ask(testkit::ORIGIN).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(testkit::ORIGIN));
    assert_eq!(ask("https://evil.example").await.header("access-control-allow-origin"), None);
}
