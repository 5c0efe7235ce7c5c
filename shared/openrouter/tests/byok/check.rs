//! `GET /key`, before a key is stored.

use std::error::Error as _;
use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use jiff::Timestamp;
use shared_core::keys::{KeyError, KeyInfo};
use tokio::time::Instant;

use crate::setup::{GOOD, Log, SECRET, answering, key, start, without_platform_key};

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// The error and its cause, as a log has them.
fn shown(error: &KeyError) -> String {
    format!("{error} {error:?} {:?}", error.source().map(ToString::to_string))
}

#[tokio::test]
async fn a_good_key_is_described() {
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
async fn a_key_with_nothing_left_is_good() {
    let (_fake, client) = start().await;
    let facts = client.check_key(&key("sk-or-v1-c0ffee-poor"), now()).await.unwrap();
    assert_eq!(facts.remaining_nano_usd, Some(0));
    assert_eq!(facts.usage_nano_usd, 100_000_000_000);
}

#[tokio::test]
async fn a_key_that_is_unknown_or_becomes_so_is_refused() {
    let (fake, client) = start().await;
    let dead = client.check_key(&key("sk-or-v1-c0ffee-dead"), now()).await;
    assert!(matches!(dead, Err(KeyError::Unknown)), "{dead:?}");
    client.check_key(&key(GOOD), now()).await.unwrap();
    fake.revoke(GOOD);
    let revoked = client.check_key(&key(GOOD), now()).await;
    assert!(matches!(revoked, Err(KeyError::Unknown)), "{revoked:?}");
}

#[tokio::test]
async fn a_key_that_cannot_ask_models_is_refused() {
    let (_fake, client) = start().await;
    let managed = client.check_key(&key("sk-or-v1-c0ffee-managed"), now()).await;
    assert!(matches!(managed, Err(KeyError::ManagementKey)), "{managed:?}");
    let expired = key("sk-or-v1-c0ffee-expired");
    assert!(matches!(client.check_key(&expired, now()).await, Err(KeyError::Expired)));
    let last_year = "2025-06-01T00:00:00Z".parse().unwrap();
    assert!(client.check_key(&expired, last_year).await.unwrap().expires_at.is_some());
}

#[tokio::test]
async fn a_busy_openrouter_says_when_to_come_back() {
    let (_fake, client) = start().await;
    let busy = client.check_key(&key("sk-or-v1-c0ffee-busy"), now()).await;
    let Err(KeyError::CheckBusy { retry_after }) = busy else { panic!("{busy:?}") };
    assert_eq!(retry_after, Duration::from_secs(2));
}

#[tokio::test]
async fn without_an_answer_in_time_the_key_is_neither_good_nor_bad() {
    let (fake, client) = start().await;
    let began = Instant::now();
    let slow = client.check_key(&key("sk-or-v1-c0ffee-slow"), now()).await.unwrap_err();
    assert!(matches!(slow, KeyError::CheckUnavailable(_)), "{slow:?}");
    let took = began.elapsed().as_secs_f64();
    assert!((3.9..4.9).contains(&took), "{took}");

    let down = client.check_key(&key("sk-or-v1-c0ffee-down"), now()).await.unwrap_err();
    assert!(matches!(down, KeyError::CheckUnavailable(_)), "{down:?}");

    fake.shutdown().await;
    let away = client.check_key(&key(GOOD), now()).await.unwrap_err();
    assert!(matches!(away, KeyError::CheckUnavailable(_)), "{away:?}");
}

#[tokio::test]
async fn what_is_not_openrouters_answer_says_nothing_about_a_key() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let elsewhere = format!("302 Found\r\nlocation: {}/key", fake.base_url());
    for (head, body) in [
        ("200 OK", "<html>".to_owned()),
        ("200 OK", r#"{"data":{"usage":"c0ffee"}}"#.to_owned()),
        ("403 Forbidden", "c0ffee".to_owned()),
        // A key goes nowhere else.
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
async fn an_endless_answer_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n";
    let (base_url, _server) = answering(format!("{head}{}", "x".repeat(1_000_000))).await;
    let began = Instant::now();
    let error = without_platform_key(&base_url).check_key(&key(GOOD), now()).await.unwrap_err();
    assert!(shown(&error).contains("a document of more than 65536 bytes"), "{}", shown(&error));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn no_key_is_in_an_error_or_in_a_log() {
    let log = Log::start();
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
