//! Key check (`GET /key`) before a user's own key is stored.

use std::error::Error as _;
use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use jiff::Timestamp;
use shared_core::keys::{KeyError, KeyInfo};
use testkit::LogCapture;

use crate::setup::{GOOD, SECRET, answering, gives_up_after, key, start, without_platform_key};

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// The error and its cause, as they are logged.
fn shown(error: &KeyError) -> String {
    format!("{error} {error:?} {:?}", error.source().map(ToString::to_string))
}

#[tokio::test]
async fn a_valid_key_is_described() {
    let (_fake, client) = start().await;
    let expected = KeyInfo {
        label: Some("sk-or-v1-c0f...mine".to_owned()),
        limit_nano_usd: Some(100_000_000_000),
        remaining_nano_usd: Some(74_500_000_000),
        usage_nano_usd: 25_500_000_000,
        expires_at: None,
        is_management_key: false,
    };
    assert_eq!(client.check_key(&key(GOOD), now()).await.unwrap(), expected);
}

#[tokio::test]
async fn an_exhausted_key_passes_the_check() {
    let (_fake, client) = start().await;
    let info = client.check_key(&key("sk-or-v1-c0ffee-poor"), now()).await.unwrap();
    assert_eq!(info.remaining_nano_usd, Some(0));
    assert_eq!(info.usage_nano_usd, 100_000_000_000);
}

#[tokio::test]
async fn an_unknown_or_revoked_key_is_refused() {
    let (fake, client) = start().await;
    let unknown = client.check_key(&key("sk-or-v1-c0ffee-dead"), now()).await;
    assert!(matches!(unknown, Err(KeyError::Unknown)), "{unknown:?}");
    client.check_key(&key(GOOD), now()).await.unwrap();
    fake.revoke(GOOD);
    let revoked = client.check_key(&key(GOOD), now()).await;
    assert!(matches!(revoked, Err(KeyError::Unknown)), "{revoked:?}");
}

#[tokio::test]
async fn a_management_or_expired_key_is_refused() {
    let (_fake, client) = start().await;
    let managed = client.check_key(&key("sk-or-v1-c0ffee-managed"), now()).await;
    assert!(matches!(managed, Err(KeyError::ManagementKey)), "{managed:?}");
    let expired = key("sk-or-v1-c0ffee-expired");
    assert!(matches!(client.check_key(&expired, now()).await, Err(KeyError::Expired)));
    let last_year = "2025-06-01T00:00:00Z".parse().unwrap();
    assert!(client.check_key(&expired, last_year).await.unwrap().expires_at.is_some());
}

#[tokio::test]
async fn a_rate_limited_check_returns_when_to_retry() {
    let (_fake, client) = start().await;
    let busy = client.check_key(&key("sk-or-v1-c0ffee-busy"), now()).await;
    let Err(KeyError::CheckBusy { retry_after }) = busy else { panic!("{busy:?}") };
    assert_eq!(retry_after, Duration::from_secs(2));
}

#[tokio::test]
async fn an_unavailable_check_neither_accepts_nor_refuses_the_key() {
    let slow = gives_up_after(Duration::from_secs(4), "", async |base_url| {
        without_platform_key(&base_url).check_key(&key(GOOD), now()).await.unwrap_err()
    });
    let slow = slow.await;
    assert!(matches!(slow, KeyError::CheckUnavailable(_)), "{slow:?}");

    let (fake, client) = start().await;
    let down = client.check_key(&key("sk-or-v1-c0ffee-down"), now()).await.unwrap_err();
    assert!(matches!(down, KeyError::CheckUnavailable(_)), "{down:?}");

    fake.shutdown().await;
    let away = client.check_key(&key(GOOD), now()).await.unwrap_err();
    assert!(matches!(away, KeyError::CheckUnavailable(_)), "{away:?}");
}

#[tokio::test]
async fn an_unexpected_response_neither_accepts_nor_refuses_the_key() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let elsewhere = format!("302 Found\r\nlocation: {}/key", fake.base_url());
    for (head, body) in [
        ("200 OK", "<html>".to_owned()),
        ("200 OK", r#"{"data":{"usage":"c0ffee"}}"#.to_owned()),
        ("403 Forbidden", "c0ffee".to_owned()),
        // A redirect is not followed: the key is sent nowhere else.
        (&elsewhere, String::new()),
    ] {
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        let (base_url, _server) = answering(answer).await;
        let client = without_platform_key(&base_url);
        let error = client.check_key(&key(GOOD), now()).await.unwrap_err();
        assert!(matches!(error, KeyError::CheckUnavailable(_)), "{head}: {error:?}");
        assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
    }
}

#[tokio::test]
async fn an_endless_response_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n";
    let (base_url, _server) = answering(format!("{head}{}", "x".repeat(1_000_000))).await;
    // The server sends no more and closes nothing: reading to the end would time out, another error.
    let error = without_platform_key(&base_url).check_key(&key(GOOD), now()).await.unwrap_err();
    assert!(shown(&error).contains("a document of more than 65536 bytes"), "{}", shown(&error));
}

#[tokio::test]
async fn no_error_and_no_log_contains_a_key() {
    let log = LogCapture::start();
    let (fake, client) = start().await;
    for end in ["mine", "dead", "busy", "down", "managed", "expired"] {
        let checked = client.check_key(&key(&format!("sk-or-v1-c0ffee-{end}")), now()).await;
        if let Err(error) = checked {
            assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
        }
    }
    fake.shutdown().await;
    let away = client.check_key(&key(GOOD), now()).await.unwrap_err();
    assert!(!shown(&away).contains(SECRET), "{}", shown(&away));
    let log = log.text();
    assert!(!log.is_empty() && !log.contains(SECRET), "{log}");
}
