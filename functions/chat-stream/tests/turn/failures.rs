//! The result of a turn when the model, the provider or a store fails.

use std::time::Duration;

use fake_openrouter::script::{delta, error, stop};
use serde_json::json;
use shared_lambda::Tasks;
use testkit::{Client, Stopwatch, TestStack};
use tokio::time::timeout;

use crate::app::app;
use crate::chat::{Chat, body};

#[tokio::test]
async fn an_error_before_the_first_byte_is_a_status() {
    for (status, expected, code) in [
        (400, 502, "model_failed"),
        (401, 502, "model_failed"),
        (402, 402, "model_out_of_credit"),
        (403, 403, "model_refused"),
        (404, 404, "model_unknown"),
        (408, 408, "model_request_timed_out"),
        (413, 413, "conversation_too_long"),
        (422, 502, "model_failed"),
        (429, 429, "model_busy"),
        (500, 502, "model_failed"),
        (502, 502, "model_failed"),
        (503, 503, "model_unavailable"),
        (524, 504, "model_timed_out"),
        (529, 503, "model_unavailable"),
    ] {
        let chat = Chat::start().await;
        let answer = chat.ask(&format!("fake/status-{status}"), "hi").await;
        assert_eq!(answer.refusal(), (expected, code.to_owned()), "{status}");
        let retry_after = answer.header("retry-after").is_some();
        assert_eq!(retry_after, matches!(expected, 429 | 503), "{status}");
        assert_eq!(
            chat.stored().await,
            ("failed".to_owned(), String::new(), Some(code.to_owned())),
            "{status}"
        );
    }
}

#[tokio::test]
async fn the_providers_own_retry_after_and_reasons_are_passed_on() {
    let chat = Chat::start().await;
    let busy = fake_openrouter::script::status(429).header("retry-after", "7");
    chat.stack.provider.script("fake/mine", busy);
    assert_eq!(chat.ask("fake/mine", "hi").await.header("retry-after"), Some("7"));
    let refused = chat.ask("fake/status-403", "hi").await.json();
    assert!(
        refused["error"]["details"]["reasons"]
            .as_array()
            .is_some_and(|reasons| !reasons.is_empty()),
        "{refused}"
    );
}

#[tokio::test]
async fn an_error_after_the_first_byte_is_the_last_event_and_the_text_is_kept() {
    for (model, code) in [
        ("fake/fail-midstream", "model_busy"),
        ("fake/fail-midstream-string", "model_failed"),
        ("fake/cut", "model_failed"),
    ] {
        let chat = Chat::start().await;
        let answer = chat.ask(model, "hi").await;
        assert_eq!(answer.stream_error()["error"]["code"], code, "{model}");
        let (status, text, error_code) = chat.stored().await;
        assert_eq!((status.as_str(), error_code.as_deref()), ("failed", Some(code)), "{model}");
        assert!(!text.is_empty(), "{model}");
        assert_eq!(answer.text(), text, "{model}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_a_finish_reason_was_truncated() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", [delta("half an ans")]);
    assert_eq!(chat.ask("fake/mine", "hi").await.stream_error()["error"]["code"], "model_failed");
    chat.stack.provider.script("fake/mine", [delta("whole"), stop()]);
    assert_eq!(chat.ask("fake/mine", "hi").await.text(), "whole");
    chat.stack.provider.script("fake/mine", [error("server_error", "boom", "server")]);
    assert_eq!(chat.ask("fake/mine", "hi").await.stream_error()["error"]["code"], "model_failed");
}

#[tokio::test]
async fn a_silent_model_gets_heartbeats_and_then_a_timeout() {
    let mut stack = TestStack::start().await;
    stack.set("KEEP_ALIVE_SECONDS", "1");
    stack.set("MODEL_IDLE_TIMEOUT_SECONDS", "3");
    let chat = Chat::on(stack).await;
    for model in ["fake/silent", "fake/comments"] {
        let watch = Stopwatch::start();
        let answer = chat.ask(model, "hi").await;
        assert_eq!(answer.stream_error()["error"]["code"], "model_timed_out", "{model}");
        assert_eq!(answer.body.matches(": still here\n").count(), 2, "{model}");
        assert!(watch.elapsed() >= Duration::from_secs(3), "{model} {watch:?}");
        let taken = watch.elapsed_on_time();
        assert!(taken < Duration::from_millis(4500), "{model} {taken:?}");
    }
    // The request to the provider was cancelled.
    let cancelled = chat.stack.provider.wait_for_dropped_streams(2);
    timeout(Duration::from_secs(30), cancelled).await.unwrap();
    assert_eq!(chat.ask("fake/hang", "hi").await.refusal(), (504, "model_timed_out".into()));
}

#[tokio::test]
async fn a_model_that_the_provider_does_not_know_is_unknown_too() {
    let chat = Chat::start().await;
    assert_eq!(chat.ask("fake/no-such-model", "hi").await.refusal(), (404, "model_unknown".into()));
}

#[tokio::test]
async fn without_the_cache_chat_goes_on_and_postgres_counts_for_the_rate_limit() {
    let mut stack = TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let chat = Chat::on(stack).await.on_premium().await;
    for remaining in (0..60).rev() {
        let answer = chat.ask("fake/echo", "hi").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-remaining"), Some(remaining.to_string().as_str()));
    }
    let limited = chat.ask("fake/echo", "hi").await;
    assert_eq!(limited.refusal(), (429, "too_many_turns".into()));
    chat.stack.until_count(60, "select count(*) from messages where role = 'user'").await;
    chat.stack.until_count(190, "select balance::bigint from allowances").await;
}

#[tokio::test]
async fn without_the_cache_regenerations_count_for_the_rate_limit_too() {
    let mut stack = TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let chat = Chat::on(stack).await.on_premium().await;
    let mut request = body("the-chat", "fake/echo", "hi");
    request["message"]["id"] = json!("question-1");
    request["trigger"] = json!("regenerate-message");
    let mut refused = 0;
    for _ in 0..62 {
        refused += u32::from(chat.client.post("/api/chat", &request).await.status == 429);
    }
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn without_the_database_no_model_is_asked() {
    let mut stack = TestStack::start().await;
    let session = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&session);
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let client = Client::new(app(&stack, &Tasks::default())).signed_in(&cookie);
    let answer = client.post("/api/chat", &body("the-chat", "fake/echo", "hi")).await;
    assert_eq!(answer.refusal(), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(stack.provider.requests().is_empty());
}

#[tokio::test]
async fn without_the_provider_the_turn_fails() {
    let mut stack = TestStack::start().await;
    stack.set("OPENROUTER_BASE_URL", "http://127.0.0.1:1");
    let chat = Chat::on(stack).await;
    assert_eq!(chat.ask("fake/echo", "hi").await.refusal(), (502, "model_failed".into()));
    assert_eq!(chat.stored().await.0, "failed");
}

#[tokio::test]
async fn an_answer_past_the_deadline_keeps_its_text_and_is_charged() {
    let mut stack = TestStack::start().await;
    stack.set("TURN_SECONDS", "1");
    let chat = Chat::on(stack).await;
    // 200 words, 25 ms apart.
    let answer = chat.ask("fake/slow", "count").await;
    assert_eq!(answer.stream_error()["error"]["code"], "model_timed_out");
    let (status, text, code) = chat.stored().await;
    assert_eq!((status.as_str(), code.as_deref()), ("failed", Some("model_timed_out")));
    assert!(text.starts_with("1 2 3 ") && !text.contains("200"), "{text}");
    chat.stack.until_count(1, "select count(*) from turns where state = 'settled'").await;
}

#[tokio::test]
async fn refused_turns_without_the_cache_do_not_extend_the_rate_limit() {
    let mut stack = TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let chat = Chat::on(stack).await;
    for _ in 0..10 {
        assert_eq!(chat.ask("fake/empty", "hi").await.status, 200);
    }
    chat.stack.clock.advance(Duration::from_secs(59));
    for _ in 0..3 {
        assert_eq!(chat.ask("fake/empty", "hi").await.refusal(), (429, "too_many_turns".into()));
    }
    chat.stack.clock.advance(Duration::from_secs(2));
    assert_eq!(chat.ask("fake/empty", "hi").await.status, 200);
}
