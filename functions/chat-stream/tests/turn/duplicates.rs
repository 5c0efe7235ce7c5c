//! Idempotency: duplicate requests, and questions that come while an answer is being written.

use std::time::Duration;

use fake_openrouter::Script;
use fake_openrouter::script::{delta, done, status, stop};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::chat::{Chat, body};
use crate::reading::{Reading, frames, text_of};

fn question(id: &str, text: &str) -> Value {
    let mut body = body("the-chat", "fake/mine", text);
    body["message"]["id"] = json!(id);
    body
}

fn paced(chunks: u32) -> Script {
    Script::Paced { chunks, gap: Duration::from_millis(20) }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_duplicate_requests_are_one_question_one_answer_and_ten_identical_streams() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", paced(20));
    let clicks = (0..10).map(async |_| {
        let client = chat.elsewhere();
        Reading::question(&client, &question("question-1", "hi")).await.rest().await
    });
    let streams = join_all(clicks).await;
    for stream in &streams {
        assert_eq!(frames(stream), frames(&streams[0]));
    }
    assert!(streams[0].contains(r#""type":"finish""#), "{}", streams[0]);
    assert_eq!(chat.stack.provider.requests().len(), 1);
    chat.stack.until_count(2, "select count(*) from messages").await;
    chat.stack.until_count(1, "select count(*) from turns").await;
    chat.stack.assert_books_are_right().await;

    // A duplicate after the end is replayed from the log, or from the database once the log has expired.
    let after = chat.client.post("/api/chat", &question("question-1", "hi")).await;
    assert_eq!(after.body, frames(&streams[0]));
    chat.forget_logs().await;
    let stored = chat.client.post("/api/chat", &question("question-1", "hi")).await;
    assert_eq!(stored.text(), text_of(&streams[0]));
    let (replayed, before) = (stored.chunks(), after.chunks());
    assert_eq!(replayed[0], before[0]);
    let (replayed, before) = (replayed.last().unwrap(), before.last().unwrap());
    assert_eq!(replayed["finishReason"], before["finishReason"]);
    assert_eq!(replayed["messageMetadata"]["usage"], before["messageMetadata"]["usage"]);
    assert_eq!(chat.stack.provider.requests().len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_turn_whatever_the_messages_id() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", [delta("said"), stop(), done()]);
    let client = chat.client.clone().with("idempotency-key", "attempt 1");
    let first = client.post("/api/chat", &body("the-chat", "fake/mine", "hi")).await;
    let second = client.post("/api/chat", &body("the-chat", "fake/mine", "hi")).await;
    assert_eq!(second.body, first.body);
    // Another question needs another key.
    let reused = client.post("/api/chat", &body("the-chat", "fake/mine", "something else")).await;
    assert_eq!(reused.refusal(), (422, "idempotency_key_reused".into()));
    assert_eq!(chat.stack.provider.requests().len(), 1);
    for malformed in ["", &"x".repeat(256), "tab\there"] {
        let client = chat.client.clone().with("idempotency-key", malformed);
        let refused = client.post("/api/chat", &body("the-chat", "fake/mine", "hi")).await;
        assert_eq!(refused.refusal(), (422, "invalid_idempotency_key".into()), "{malformed:?}");
    }
}

#[tokio::test]
async fn another_question_is_refused_while_an_answer_is_running_and_gets_its_id() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", paced(50));
    let mut running = Reading::question(&chat.client, &question("question-1", "hi")).await;
    running.until("\"text-delta\"").await;
    let elsewhere = chat.elsewhere();
    let refused = elsewhere.post("/api/chat", &question("question-2", "and this?")).await;
    assert_eq!(refused.refusal(), (409, "turn_running".into()));
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    let answer = refused.json()["error"]["details"]["messageId"].clone();
    assert!(running.result.contains(&format!("\"messageId\":{answer}")), "{answer}");
    let mut edited = question("question-1", "something else");
    edited["messageId"] = json!("question-1");
    assert_eq!(elsewhere.post("/api/chat", &edited).await.code(), "turn_running");
    // A regeneration joins the answer that is being written already.
    let mut again = question("question-1", "hi");
    again["trigger"] = json!("regenerate-message");
    let again = Reading::question(&elsewhere, &again).await.rest().await;
    assert_eq!(frames(&again), frames(&running.rest().await));
    assert_eq!(chat.stack.provider.requests().len(), 1);
    // The chat accepts the next question.
    assert_eq!(chat.ask("fake/echo", "next").await.text(), "next");
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_question_that_failed_without_any_text_is_retried() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", status(503));
    let failed = chat.client.post("/api/chat", &question("question-1", "hi")).await;
    assert_eq!(failed.refusal(), (503, "model_unavailable".into()));
    chat.stack.provider.script("fake/mine", [delta("now"), stop(), done()]);
    let answer = chat.client.post("/api/chat", &question("question-1", "hi")).await;
    assert_eq!(answer.text(), "now");
    chat.stack.until_count(1, "select count(*) from messages where role = 'user'").await;
    chat.stack.until_count(1, "select count(*) from turns where state = 'settled'").await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn an_idempotency_key_of_a_failed_turn_without_text_is_used_up_by_the_retry() {
    let chat = Chat::start().await;
    let client = chat.client.clone().with("idempotency-key", "attempt 1");
    chat.stack.provider.script("fake/mine", status(503));
    let ask = async || client.post("/api/chat", &question("question-1", "hi")).await;
    assert_eq!(ask().await.code(), "model_unavailable");
    chat.stack.provider.script("fake/mine", [delta("now"), stop(), done()]);
    let answer = ask().await;
    assert_eq!(answer.text(), "now");
    assert_eq!(ask().await.body, answer.body);
    assert_eq!(chat.stack.provider.requests().len(), 2);
    chat.stack.until_count(1, "select count(*) from turns where state = 'settled'").await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_duplicate_post_of_a_failed_question_gets_its_error() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", status(503));
    let asked = join_all((0..5).map(async |_| {
        chat.elsewhere().post("/api/chat", &question("question-1", "hi")).await.body
    }));
    for answer in asked.await {
        assert!(answer.contains("model_unavailable"), "{answer}");
    }
    chat.stack.until_count(0, "select count(*) from turns where state = 'open'").await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_message_id_with_another_text_or_chat_is_refused() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", [delta("said"), stop(), done()]);
    chat.client.post("/api/chat", &question("question-1", "hi")).await;
    let other = chat.client.post("/api/chat", &question("question-1", "something else")).await;
    assert_eq!(other.refusal(), (409, "message_exists".into()));
    // The id is taken in another chat, too.
    let mut elsewhere = question("question-1", "hi");
    elsewhere["id"] = json!("another-chat");
    let other = chat.client.post("/api/chat", &elsewhere).await;
    assert_eq!(other.refusal(), (409, "message_exists".into()));
    assert_eq!(chat.stack.provider.requests().len(), 1);
}
