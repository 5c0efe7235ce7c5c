//! Turns while Postgres, the cache or the inbox goes away and comes back.

use std::cell::Cell;
use std::time::{Duration, Instant};

use fake_openrouter::Script;
use fake_openrouter::script::{Gate, delta, done, gate, stop};
use local_stack::PrivateServers;
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use testkit::{Stopwatch, TestStack, metronome};

use crate::chat::{Chat, body};
use crate::reading::{Reading, text_of};

/// A chat on private Postgres and Valkey servers, which a test may stop.
async fn with_its_own_servers() -> (Chat, PrivateServers) {
    let servers = PrivateServers::start().await.unwrap();
    migrate(&DatabaseConfig::at(&servers.owner_url()), Destructive::Refused).await.unwrap();
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", servers.app_url());
    stack.set("CACHE_URL", servers.cache_url());
    (Chat::on(stack).await, servers)
}

/// Asks, calls `meanwhile` between the first word and the last, and returns the whole stream.
async fn ask(chat: &Chat, meanwhile: impl AsyncFnOnce()) -> String {
    let rest = Gate::default();
    let steps = [delta("one "), gate(&rest), delta("two"), stop(), done()];
    chat.stack.provider.script("fake/mine", steps);
    let question = body("the-chat", "fake/mine", "hi");
    let mut reading = Reading::question(&chat.client, &question).await;
    reading.until("one ").await;
    meanwhile().await;
    rest.open();
    reading.rest().await
}

#[tokio::test]
async fn a_postgres_that_restarts_between_the_first_word_and_the_last_loses_nothing() {
    let (chat, servers) = with_its_own_servers().await;
    let result = ask(&chat, async || {
        servers.postgres().stop().await;
        servers.postgres().start().await.unwrap();
    })
    .await;
    assert!(result.contains(r#""type":"finish""#), "{result}");
    assert_eq!(chat.ask("fake/echo", "what did you say?").await.status, 200);
    let prompt = chat.stack.provider.requests().last().unwrap().messages();
    assert!(prompt.contains(&"assistant: one two".to_owned()), "{prompt:?}");
}

#[tokio::test]
async fn an_answer_that_postgres_cannot_store_is_stored_later_from_the_inbox_and_once() {
    let (chat, servers) = with_its_own_servers().await;
    let watch = Stopwatch::start();
    let result = ask(&chat, async || servers.postgres().stop().await).await;
    let taken = watch.elapsed_on_time();
    assert!(result.contains(r#""type":"finish""#), "{result}");
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    let waiting = chat.stack.waiting_turns().await;
    assert_eq!(waiting.len(), 1);

    servers.postgres().start().await.unwrap();
    // Delivered twice, and fetched by two racing sweeps.
    chat.stack.put_turn(&waiting[0]).await;
    let owner = servers.owner_url();
    let (one, other) = tokio::join!(chat.stack.sweep(&owner), chat.stack.sweep(&owner));
    assert_eq!(one.count("turnsStored").unwrap() + other.count("turnsStored").unwrap(), 1);
    let sql = "select status, parts -> 0 ->> 'text', (select count(*) from messages),
                      (select string_agg(state, ' ') from turns)
                 from messages where role = 'assistant'";
    let row = connect(&chat, &owner).await.query_one(sql, &[]).await.unwrap();
    let (status, text): (String, String) = (row.get(0), row.get(1));
    let (messages, turns): (i64, String) = (row.get(2), row.get(3));
    assert_eq!((status.as_str(), text.as_str(), messages), ("complete", "one two", 2));
    assert_eq!(turns, "settled");
    assert!(chat.stack.waiting_turns().await.is_empty());
}

#[tokio::test]
async fn a_chat_goes_on_while_its_last_answer_is_still_in_the_inbox() {
    let (chat, servers) = with_its_own_servers().await;
    ask(&chat, async || servers.postgres().stop().await).await;
    servers.postgres().start().await.unwrap();
    assert_eq!(chat.ask("fake/echo", "what did you say?").await.text(), "what did you say?");
    let prompt = chat.stack.provider.requests().last().unwrap().messages();
    assert!(prompt.contains(&"assistant: one two".to_owned()), "{prompt:?}");
    // It was closed with the text of its log; its true end is in the inbox.
    let first = "select status from messages where parts -> 0 ->> 'text' = 'one two'";
    let owner = connect(&chat, &servers.owner_url()).await;
    let status = async || owner.query_one(first, &[]).await.unwrap().get::<_, String>(0);
    assert_eq!(status().await, "interrupted");
    chat.stack.sweep(&servers.owner_url()).await;
    assert_eq!(status().await, "complete");
}

async fn connect(chat: &Chat, url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    chat.tasks.spawn(async move { connection.await.unwrap_or_default() });
    client
}

#[tokio::test]
async fn an_answer_that_no_store_takes_is_still_streamed_to_its_end_with_an_error() {
    let (chat, servers) = with_its_own_servers().await;
    chat.stack.dynamodb.stop().await;
    let result = ask(&chat, async || servers.postgres().stop().await).await;
    assert!(result.contains(r#""delta":"two""#), "{result}");
    assert!(
        result.contains("answer_not_saved") && result.ends_with("data: [DONE]\n\n"),
        "{result}"
    );
}

#[tokio::test]
async fn without_postgres_no_turn_begins_and_the_refusal_has_retry_after() {
    let (chat, servers) = with_its_own_servers().await;
    servers.postgres().stop().await;
    let refused = chat.ask("fake/echo", "hi").await;
    assert_eq!(refused.refusal(), (503, "unavailable".into()));
    assert!(refused.header("retry-after").is_some());
    assert!(chat.stack.provider.requests().is_empty());
    servers.postgres().start().await.unwrap();
    assert_eq!(chat.ask("fake/echo", "hi").await.text(), "hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_outage_does_not_stall_the_response() {
    const GAP: Duration = Duration::from_millis(10);
    const MAY_STALL: Duration = Duration::from_millis(50);
    let (chat, servers) = with_its_own_servers().await;
    chat.stack.provider.script("fake/mine", Script::Paced { chunks: 150, gap: GAP });
    let mut reading = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    reading.until("\"text-delta\"").await;
    let outage = async {
        servers.cache().stop().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        servers.cache().start().await.unwrap();
    };
    let reader = async {
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        while reading.more().await {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        (reading.result, longest)
    };
    let late = Cell::new(Duration::ZERO);
    let ((result, longest), ()) = tokio::select! {
        both = async { tokio::join!(reader, outage) } => both,
        never = metronome(&late) => match never {},
    };
    assert!(result.contains(r#""type":"finish""#), "{result}");
    assert!(longest < GAP + MAY_STALL + late.get(), "it stalled for {longest:?}");

    // Frames that could not be written at once were written by a retry.
    let again = chat.client.get("/api/chat/the-chat/stream?after=0").await;
    assert_eq!(text_of(&again.body), text_of(&result));
}
