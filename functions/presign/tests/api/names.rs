//! Names that are meant to do harm.

use serde_json::json;
use testkit::{Answer, Client, TestStack, send_http};

use crate::api::setup::{IMAGE, PATH, TEXT, User, deps, expect, key_of, query_of};

const NAMES: [(&str, &str); 10] = [
    ("../../etc/passwd", "etcpasswd"),
    ("..\\..\\boot.ini", "boot.ini"),
    ("a\0b.txt", "ab.txt"),
    ("a\r\nset-cookie: x=y\r\n\r\n.txt", "aset-cookie: x=y.txt"),
    ("🚢 ünï.png", "🚢 ünï.png"),
    ("exe\u{202e}gnp.txt", "exegnp.txt"),
    ("\"; filename=\"x.exe", "\"; filename=\"x.exe"),
    ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
    ("<script>alert(1)</script>.html", "<script>alert(1)<script>.html"),
    ("/", "file"),
];

async fn declare(client: &Client, name: &str) -> Answer {
    let body = json!({
        "filename": name, "contentType": "text/plain", "size": 5, "sha256": "ab".repeat(32),
    });
    expect(201, client.post(PATH, &body).await)
}

#[tokio::test]
async fn a_name_is_cleaned_and_is_never_part_of_a_key() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for (raw, clean) in NAMES {
        let declared = declare(&ada.client, raw).await.json();
        let (url, id) = (declared["url"].as_str().unwrap(), declared["id"].as_str().unwrap());
        assert_eq!(key_of(url), format!("quarantine/{}/{id}", ada.session.user), "{raw:?}");
        assert_eq!(ada.show(id).await.json()["upload"]["filename"], clean, "{raw:?}");
    }
    let long = declare(&ada.client, &format!("{}.txt", "é".repeat(2046))).await.json();
    let shown = ada.show(long["id"].as_str().unwrap()).await.json()["upload"]["filename"].take();
    let shown = shown.as_str().unwrap();
    assert!(shown.len() <= 200 && shown.ends_with("é.txt"), "{shown}");
    let longer = json!({
        "filename": "x".repeat(10 * 1024), "contentType": "text/plain", "size": 5, "sha256": "ab".repeat(32),
    });
    assert_eq!(ada.client.post(PATH, &longer).await.status, 413);
}

#[tokio::test]
async fn a_name_cannot_leave_the_header_in_which_s3_returns_it() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for (raw, clean) in NAMES {
        for file in [TEXT, IMAGE] {
            // As it was before it was cleaned: a row of an older release, too, is cleaned when it is read.
            let filename = if raw.contains('\0') { clean } else { raw };
            let id =
                stack.ready_upload(&ada.session, &testkit::ReadyFile { filename, ..file }).await;
            assert_eq!(ada.show(id).await.json()["upload"]["filename"], clean);
            let url = ada.location(id, "").await;
            assert_eq!(key_of(&url), format!("clean/{}/{id}/view", ada.session.user));
            let request = http::Request::get(&url).body(axum::body::Bytes::new()).unwrap();
            let answer = expect(200, send_http(request).await);
            let disposition = answer.header("content-disposition").unwrap();
            assert_eq!(
                Some(disposition),
                query_of(&url).get("response-content-disposition").map(String::as_str)
            );
            let (how, name) = disposition.split_once("; filename*=UTF-8''").unwrap();
            assert!(["inline", "attachment"].contains(&how), "{disposition}");
            let is_safe =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte);
            assert!(name.bytes().all(is_safe), "{disposition}");
            assert!(answer.headers.get("set-cookie").is_none());
            // What a browser makes of it.
            let decoded = format!("x={}", name.replace('+', "%2B"));
            let decoded = form_urlencoded::parse(decoded.as_bytes()).next().unwrap().1.into_owned();
            assert_eq!(decoded, clean);
        }
    }
}

#[tokio::test]
async fn a_type_with_a_line_break_cannot_add_a_header() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let client = Client::new(presign::app(deps(&stack))).signed_in(&stack.cookie(&ada.session));
    let body = json!({
        "filename": "a", "contentType": "text/plain;\r\nx-amz-acl: public-read", "size": 5,
        "sha256": "ab".repeat(32),
    });
    let declared = expect(201, client.post(PATH, &body).await).json();
    assert_eq!(declared["headers"]["content-type"], "text/plain");
    assert_eq!(declared["headers"].as_object().unwrap().len(), 3);
}
