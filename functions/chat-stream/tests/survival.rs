//! Turns whose process is killed, or whose client is disconnected, at any point: the model's text is kept.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it breaks")]

#[path = "turn/app.rs"]
mod app;

use std::cell::Cell;
use std::time::{Duration, Instant};

use fake_openrouter::Step;
use fake_openrouter::script::{delta, done, pause, stop, usage};
use futures_util::future::join_all;
use runtime_api::{Chunk, Invocation, RuntimeApi};
use serde_json::Value;
use shared_lambda::{Tasks, system_entropy};
use testkit::{Client, Function, TestStack, metronome, question_json};
use tokio::sync::Semaphore;

use crate::app::app;

const BINARY: &str = env!("CARGO_BIN_EXE_chat-stream");
/// The model in the events.
const MODEL: &str = "openai/gpt-5-mini";
const CHUNKS: u32 = 200;
const GAP: Duration = Duration::from_millis(5);
const POINTS: usize = 20;
/// Chunks that arrived within this time before the kill may be lost.
const LOSABLE: Duration = Duration::from_millis(50);
/// Concurrent functions.
const AT_ONCE: usize = 4;

fn words() -> impl Iterator<Item = String> {
    (0..CHUNKS).map(|number| format!("{number} "))
}

fn script() -> Vec<Step> {
    let words = words().flat_map(|word| [delta(word), pause(GAP)]);
    words.chain([stop(), usage(9, CHUNKS, 0.001), done()]).collect()
}

/// The platform around short-lived functions.
struct Scene {
    stack: TestStack,
    cookie: String,
    elsewhere: Client,
}

impl Scene {
    async fn start() -> Self {
        let stack = TestStack::start().await;
        let session = stack.session("ada@example.com").await;
        stack.premium(&session).await;
        let cookie = stack.cookie(&session);
        stack.provider.script(MODEL, script());
        let app = app(&stack, &Tasks::default());
        let elsewhere = Client::new(app).signed_in(&cookie);
        Self { stack, cookie, elsewhere }
    }

    async fn function(&self) -> (RuntimeApi, Function) {
        let lambda = RuntimeApi::start().await.unwrap();
        let function = Function::start(BINARY, &self.stack.variables(), &lambda);
        lambda.until_idle(1).await;
        (lambda, function)
    }

    /// The turn's stream, resumed from its beginning at another process.
    async fn resumed(&self, number: usize) -> String {
        let path = format!("/api/chat/chat-{number:08}/stream?after=0");
        let resumed = self.elsewhere.get(&path).await;
        assert_eq!(resumed.status, 200, "{}", resumed.body);
        assert!(resumed.body.ends_with("data: [DONE]\n\n"), "{}", resumed.body);
        resumed.body
    }

    /// Status and text of the chat's stored answer.
    async fn stored(&self, number: usize) -> (String, String) {
        let sql = "select status, coalesce(parts -> 0 ->> 'text', '') from messages
                    where role = 'assistant' and chat_id = $1";
        let chat = format!("chat-{number:08}");
        let row = self.stack.owner().await.query_one(sql, &[&chat]).await.unwrap();
        (row.get(0), row.get(1))
    }
}

/// Reads until `words` words have come.
async fn until(invocation: &mut Invocation, words: usize) -> Vec<Chunk> {
    let (mut chunks, mut result) = (Vec::new(), 0);
    while result < words {
        let chunk = invocation.chunk().await.unwrap().expect("more");
        result += text_of(&chunk.bytes).split_whitespace().count();
        chunks.push(chunk);
    }
    chunks
}

/// The words in whole frames.
fn text_of(frames: &[u8]) -> String {
    let lines = std::str::from_utf8(frames).unwrap_or_default().lines();
    let data =
        lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let deltas = data.filter(|chunk| chunk["type"] == "text-delta");
    deltas.map(|chunk| chunk["delta"].as_str().unwrap().to_owned()).collect()
}

fn points() -> Vec<usize> {
    let entropy = system_entropy();
    // One in each part of the stream, so that the random points always cover its end.
    let part = CHUNKS as usize / POINTS;
    (0..POINTS).map(|n| n * part + entropy.below(u32::try_from(part).unwrap()) as usize).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_turn_keeps_all_but_the_last_50_ms_of_its_text() {
    let scene = Scene::start().await;
    let whole: String = words().collect();
    let places = Semaphore::new(AT_ONCE);
    let killed = join_all(points().into_iter().enumerate().map(async |(number, words)| {
        let place = places.acquire().await.unwrap();
        let (lambda, function) = scene.function().await;
        let mut turn = lambda.invoke(question_json(&scene.cookie, number));
        let late = Cell::new(Duration::ZERO);
        let chunks = tokio::select! {
            chunks = until(&mut turn, words.max(1)) => chunks,
            never = metronome(&late) => match never {},
        };
        let at = Instant::now();
        drop(function); // SIGKILL
        drop(place);
        let losable = LOSABLE + late.get();
        let safe = chunks.iter().filter(|chunk| chunk.arrived + losable < at);
        let safe: String = safe.map(|chunk| text_of(&chunk.bytes)).collect();
        // Every second one is resumed; the others are left to the sweep.
        let resumed = if number % 2 == 0 { Some(scene.resumed(number).await) } else { None };
        (safe, resumed)
    }))
    .await;
    for (number, (safe, resumed)) in killed.iter().enumerate() {
        let Some(resumed) = resumed else { continue };
        let text = text_of(resumed.as_bytes());
        assert!(
            whole.starts_with(&text) && text.starts_with(safe),
            "{number}: {text:?} of {safe:?}"
        );
        assert!(resumed.contains("answer_interrupted"), "{number}: {resumed}");
        assert_eq!(scene.stored(number).await, ("interrupted".to_owned(), text), "{number}");
    }

    let swept = scene.stack.sweep_later().await;
    assert_eq!(swept.count("orphanedTurnsClosed").unwrap(), 10);
    for (number, (safe, _)) in killed.iter().enumerate() {
        let (status, text) = scene.stored(number).await;
        assert_eq!(status, "interrupted");
        assert!(
            whole.starts_with(&text) && text.starts_with(safe),
            "{number}: {text:?} of {safe:?}"
        );
    }
    scene.stack.until_count(0, "select count(*) from messages where status = 'streaming'").await;
    scene.stack.until_count(0, "select count(*) from turns where state = 'open'").await;
    scene.stack.assert_books_are_right().await;
    assert_eq!(scene.stack.provider.requests().len(), POINTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_disconnected_resumes_without_a_gap() {
    let scene = Scene::start().await;
    let whole: String = words().collect();
    let places = Semaphore::new(AT_ONCE);
    let resumed = join_all(points().into_iter().enumerate().map(async |(number, words)| {
        let _place = places.acquire().await.unwrap();
        let (lambda, mut function) = scene.function().await;
        let mut turn = lambda.invoke(question_json(&scene.cookie, number));
        until(&mut turn, words.max(1)).await;
        turn.break_stream();
        let resumed = scene.resumed(number).await;
        // The runtime gives up on its connection; the function exits when its turns are done.
        function.exit().await;
        resumed
    }))
    .await;
    for (number, resumed) in resumed.iter().enumerate() {
        assert_eq!(text_of(resumed.as_bytes()), whole, "{number}");
        assert!(resumed.contains(r#""type":"finish""#), "{number}");
        assert_eq!(scene.stored(number).await, ("complete".to_owned(), whole.clone()), "{number}");
    }
    scene.stack.assert_books_are_right().await;
}
