//! Usage lookup (`GET /generation`) after the client has cancelled a stream.

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use shared_core::chat::{ModelEvent, PromptMessage, Usage};
use shared_core::ids::UserId;
use shared_core::keys::ProviderKey;
use shared_core::models::ModelId;
use shared_openrouter::{CompletionRequest, LookupError, OpenRouter};
use testkit::LogCapture;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::setup::{GOOD, SECRET, answering, gives_up_after, key, start, with_platform_key};

const PLATFORM: &str = "sk-or-v1-the-platforms";

/// Asks, reads until the first text, cancels the stream, and returns the generation's id.
async fn cancelled(
    fake: &FakeOpenRouter,
    client: &OpenRouter,
    model: &str,
    key: Option<&ProviderKey>,
) -> String {
    let model = ModelId::parse(model).unwrap();
    let messages = [PromptMessage { role: "user", content: "count please".into() }];
    let (user, trace) = (UserId(Uuid::from_u128(7)), Uuid::from_u128(9).into());
    let ask = CompletionRequest {
        model: &model,
        messages: &messages,
        user,
        trace,
        pdf_engine: None,
        key,
    };
    let mut stream = client.complete(&ask).await.unwrap();
    let (mut id, mut spoke) = (String::new(), false);
    while !spoke {
        let mut emit = |event: ModelEvent<'_>| match event {
            ModelEvent::Identified { generation, .. } => generation.clone_into(&mut id),
            ModelEvent::Text(text) => spoke |= !text.is_empty(),
            ModelEvent::Reasoning(_)
            | ModelEvent::Citation { .. }
            | ModelEvent::Finished(_)
            | ModelEvent::Used(_)
            | ModelEvent::Failed(_)
            | ModelEvent::Done => {}
        };
        stream.next(pin!(sleep(Duration::from_secs(2))), &mut emit).await;
    }
    let dropped = fake.dropped_streams();
    drop(stream);
    fake.wait_for_dropped_streams(dropped + 1).await;
    id
}

/// Polls until the usage is known.
async fn looked_up(client: &OpenRouter, id: &str, key: Option<&ProviderKey>) -> Usage {
    let known = async {
        loop {
            if let Some(usage) = client.generation(id, key).await.unwrap() {
                return usage;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(5), known).await.unwrap()
}

#[tokio::test]
async fn the_usage_of_a_cancelled_generation_is_known_a_moment_later() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let client = with_platform_key(&fake.base_url(), PLATFORM);
    let id = cancelled(&fake, &client, "fake/slow", None).await;
    assert_eq!(client.generation(&id, None).await.unwrap(), None);
    let usage = looked_up(&client, &id, None).await;
    assert_eq!(usage.prompt_tokens, 2);
    assert!((1..20).contains(&usage.completion_tokens), "{usage:?}");
    let cost = 2 * 1_000 + i64::from(usage.completion_tokens) * 2_000;
    assert_eq!(usage.cost_nano_usd, Some(cost));

    let id = cancelled(&fake, &client, "fake/unstoppable", None).await;
    assert_eq!(looked_up(&client, &id, None).await.completion_tokens, 200);
}

#[tokio::test]
async fn only_the_key_that_paid_finds_a_generation() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let client = with_platform_key(&fake.base_url(), PLATFORM);
    let (own, other) = (key(GOOD), key("sk-or-v1-c0ffee-other"));
    let id = cancelled(&fake, &client, "fake/slow", Some(&own)).await;
    assert!(looked_up(&client, &id, Some(&own)).await.completion_tokens > 0);
    for key in [None, Some(&other)] {
        assert_eq!(client.generation(&id, key).await.unwrap(), None);
    }
    fake.revoke(GOOD);
    let revoked = client.generation(&id, Some(&own)).await;
    assert!(matches!(revoked, Err(LookupError::KeyRefused)), "{revoked:?}");
}

#[tokio::test]
async fn an_id_is_escaped_in_the_query() {
    let (_fake, client) = start().await;
    for id in ["", "gen-nothing", "gen&id=x", "../key", "gen 1\n#?", "gen-ü"] {
        assert_eq!(client.generation(id, Some(&key(GOOD))).await.unwrap(), None, "{id}");
    }
}

#[tokio::test]
async fn an_unexpected_response_is_an_error_that_quotes_nothing() {
    for head in ["200 OK", "429 Too Many Requests", "503 Service Unavailable"] {
        let body = r#"{"data":{"total_cost":"c0ffee"}}"#;
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        let (base_url, _server) = answering(answer).await;
        let client = with_platform_key(&base_url, PLATFORM);
        let error = client.generation("gen-1", None).await.unwrap_err();
        assert!(matches!(error, LookupError::Unexpected(_)), "{head}: {error:?}");
        assert!(!format!("{error:?} {:?}", error.source()).contains(SECRET), "{error:?}");
    }
}

#[tokio::test]
async fn a_lookup_times_out_and_logs_no_key() {
    let log = LogCapture::start();
    let started = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{";
    let error = gives_up_after(Duration::from_secs(5), started, async |base_url| {
        let client = with_platform_key(&base_url, PLATFORM);
        client.generation("gen-1", Some(&key(GOOD))).await.unwrap_err()
    });
    let error = error.await;
    assert!(matches!(error, LookupError::Unavailable(_)), "{error:?}");
    let log = log.text();
    assert!(!log.is_empty() && !log.contains(SECRET), "{log}");
}
