//! Answers that the user stops, or a shutdown interrupts.

use std::time::Duration;

use axum::body::Body;
use fake_openrouter::Script;
use fake_openrouter::script::{delta, processing, silent};
use serde_json::json;
use testkit::Stopwatch;

use crate::chat::{Chat, body};
use crate::reading::{Reading, frames, text_of};

const STOP: &str = "/api/chat/the-chat/stop";
const STREAM: &str = "/api/chat/the-chat/stream";

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_another_process_cancels_the_upstream_and_keeps_the_text() {
    let chat = Chat::start().await;
    let script = Script::Paced { chunks: 500, gap: Duration::from_millis(20) };
    chat.stack.provider.script("fake/mine", script);
    let mut first = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    first.until("\"text-delta\"").await;
    let elsewhere = chat.elsewhere();
    let reader = Reading::get(&elsewhere, STREAM).await;

    let watch = Stopwatch::start();
    let upstream_gone = async {
        chat.stack.provider.wait_for_dropped_streams(1).await;
        watch.elapsed_on_time()
    };
    let request = elsewhere.request("POST", STOP, Body::empty());
    let (stopped, upstream_gone) = tokio::join!(elsewhere.send(request), upstream_gone);
    assert!(upstream_gone < Duration::from_millis(300), "{upstream_gone:?}");
    assert_eq!((stopped.status.as_u16(), &stopped.json()["ended"]), (200, &json!(true)));

    let (first, reader) = tokio::join!(first.rest(), reader.rest());
    assert_eq!(frames(&reader), frames(&first));
    assert!(first.ends_with("data: {\"type\":\"abort\"}\n\ndata: [DONE]\n\n"), "{first}");
    let (status, text, _) = chat.stored().await;
    assert_eq!((status.as_str(), &text), ("stopped", &text_of(&first)));
    assert!(!text.is_empty());
    // The text is charged once.
    chat.stack.until_count(1, "select count(*) from turns where state = 'settled'").await;
    chat.stack.assert_books_are_right().await;

    // Idempotent: another stop changes nothing, and the next question is answered.
    let again = elsewhere.send(elsewhere.request("POST", STOP, Body::empty())).await;
    assert_eq!(again.status, 204);
    assert_eq!(chat.ask("fake/echo", "and now this").await.text(), "and now this");
}

#[tokio::test]
async fn an_answer_without_any_text_can_be_stopped_and_costs_nothing() {
    let chat = Chat::start().await;
    // One that was accepted and stays silent, and one that is not even accepted.
    chat.stack.provider.script("fake/mine", [processing(), silent()]);
    for model in ["fake/mine", "fake/hang"] {
        let question = body("the-chat", model, "hi");
        let asking = chat.client.post("/api/chat", &question);
        let stopping = async {
            chat.stack
                .until_count(1, "select count(*) from messages where status = 'streaming'")
                .await;
            chat.client.send(chat.client.request("POST", STOP, Body::empty())).await
        };
        let (answer, stopped) = tokio::join!(asking, stopping);
        assert_eq!(stopped.json()["ended"], true);
        let kinds: Vec<_> = answer.chunks().iter().map(|chunk| chunk["type"].clone()).collect();
        assert_eq!(kinds, ["start", "start-step", "message-metadata", "abort"], "{model}");
        assert_eq!(answer.chunks()[2]["messageMetadata"]["credits"], 0);
    }
    chat.stack.until_count(2, "select count(*) from messages where status = 'stopped'").await;
    chat.stack.until_count(2, "select count(*) from turns where state = 'released'").await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn only_the_answer_with_the_requested_id_is_stopped() {
    let chat = Chat::start().await;
    let ended = chat.ask("fake/echo", "one").await;
    let ended = ended.chunks()[0]["messageId"].as_str().unwrap().to_owned();
    chat.stack.provider.script("fake/mine", [delta("two"), silent()]);
    let mut running = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    running.until("two").await;
    // Race: a stop that comes late, for the answer before.
    let late = format!("{STOP}?message={ended}");
    let late = chat.client.send(chat.client.request("POST", &late, Body::empty())).await;
    assert_eq!(late.status, 204);
    assert_eq!(chat.stack.provider.active_streams(), 1);
    let stopped = chat.client.send(chat.client.request("POST", STOP, Body::empty())).await;
    assert_eq!(stopped.json()["ended"], true);
    assert!(running.rest().await.contains(r#""type":"abort""#));
}

#[tokio::test]
async fn a_process_that_shuts_down_closes_its_turns_with_their_text() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", [delta("as far as this"), silent()]);
    let mut running = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    running.until("as far as this").await;
    chat.tasks.shut_down();
    let result = running.rest().await;
    assert!(
        result.contains("answer_interrupted") && result.ends_with("data: [DONE]\n\n"),
        "{result}"
    );
    chat.tasks.finish().await;
    assert_eq!(chat.stored().await, ("interrupted".into(), "as far as this".into(), None));
}
