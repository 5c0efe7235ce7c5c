//! Orphaned turns, as later requests find them.

use axum::body::Body;
use futures_util::future::join_all;
use serde_json::json;
use shared_cache::{Batch, LiveLog};
use shared_core::chat::ORPHANED_AFTER;
use shared_core::ids::MessageId;
use testkit::{message_id, next_turn};
use tokio::time::Duration;

use crate::chat::{Chat, body};
use crate::reading::text_of;

const STREAM: &str = "/api/chat/the-chat/stream";
const LOGGED: &[u8] = b"id: 1\ndata: {\"type\":\"start\",\"messageId\":\"answer-01\",\"messageMetadata\":{\"model\":\"fake/echo\"}}\n\n\
id: 2\ndata: {\"type\":\"text-start\",\"id\":\"0\"}\n\nid: 3\ndata: {\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"as far as\"}\n\n";

/// Begins a turn of another process, with or without a live log.
async fn turn(chat: &Chat, has_log: bool) -> LiveLog {
    let database = chat.stack.database();
    let request = database.request(&chat.session, chat.stack.clock.now());
    request.begin_turn(&next_turn("the-chat", 1), &chat.stack.plans(), None).await.unwrap();
    let log = chat.stack.cache().live_log(chat.session.user, &answer());
    if has_log {
        log.heartbeat(None, None).await.unwrap();
    }
    log
}

fn answer() -> MessageId {
    message_id("answer-01")
}

/// The question that the turn was about.
fn question() -> serde_json::Value {
    let mut question = body("the-chat", "fake/echo", "question of answer-01");
    question["message"]["id"] = json!("question-1");
    question
}

#[tokio::test]
async fn the_text_of_an_orphaned_turn_is_replayed_to_every_reader() {
    let chat = Chat::start().await;
    let log = turn(&chat, true).await;
    log.heartbeat(Some(Batch { first: 1, last: 3, frames: LOGGED }), Some("gen-1")).await.unwrap();
    chat.forget("alive").await;

    let readers = join_all((0..5).map(async |_| chat.elsewhere().get(STREAM).await.body)).await;
    let later = chat.elsewhere().get(&format!("{STREAM}?after=0")).await.body;
    for reader in readers.iter().chain([&later]) {
        assert_eq!(text_of(reader), "as far as");
        assert!(reader.contains("answer_interrupted") && reader.ends_with("data: [DONE]\n\n"));
    }
    assert_eq!(chat.stored().await, ("interrupted".into(), "as far as".into(), None));
    // Idempotent: a duplicate request replays it; its text is charged once.
    let again = chat.client.post("/api/chat", &question()).await;
    assert_eq!(again.stream_error()["error"]["code"], "answer_interrupted");
    assert!(chat.stack.provider.requests().is_empty());
    chat.stack.until_count(1, "select count(*) from turns where state = 'settled'").await;
    chat.stack.assert_books_are_right().await;
    assert_eq!(chat.ask("fake/echo", "and now").await.text(), "and now");
}

#[tokio::test]
async fn an_orphaned_turn_without_text_is_retried() {
    let chat = Chat::start().await;
    turn(&chat, true).await;
    chat.forget("alive").await;
    let answer = chat.client.post("/api/chat", &question()).await;
    assert_eq!(answer.text(), "question of answer-01");
    chat.stack.until_count(1, "select count(*) from messages where role = 'user'").await;
    chat.stack.until_count(1, "select count(*) from turns where state = 'released'").await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn the_next_question_closes_an_orphaned_turn_and_is_answered() {
    let chat = Chat::start().await;
    turn(&chat, true).await;
    chat.forget("alive").await;
    assert_eq!(chat.ask("fake/echo", "next").await.text(), "next");
    let interrupted = "select count(*) from messages where status = 'interrupted'";
    chat.stack.until_count(1, interrupted).await;
}

#[tokio::test]
async fn a_stop_closes_an_orphaned_turn() {
    let chat = Chat::start().await;
    turn(&chat, true).await;
    chat.forget("alive").await;
    let stop = chat.client.request("POST", "/api/chat/the-chat/stop", Body::empty());
    assert_eq!(chat.client.send(stop).await.json()["ended"], true);
    assert_eq!(chat.stored().await.0, "interrupted");
}

/// Its function has another version, which keeps no log, or cannot reach the cache.
#[tokio::test]
async fn a_turn_without_a_log_is_orphaned_only_after_a_time() {
    let chat = Chat::start().await;
    turn(&chat, false).await;
    chat.stack.clock.advance(Duration::from_mins(1));
    let refused = chat.ask("fake/echo", "next").await;
    assert_eq!(refused.refusal(), (409, "turn_running".into()));
    assert_eq!(chat.stored().await.0, "streaming");
    chat.stack.clock.advance(ORPHANED_AFTER);
    assert_eq!(chat.ask("fake/echo", "next").await.text(), "next");
}
