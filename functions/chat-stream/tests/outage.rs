//! Turns while Postgres goes away and comes back.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::sync::Arc;
use std::time::Duration;

use chat_stream::{ChatConfig, Deps, app};
use fake_openrouter::script::{delta, done, pause, stop};
use http_body_util::BodyExt;
use local_stack::PrivateServers;
use serde_json::json;
use shared_http::Tasks;
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use testkit::{Client, TestStack};

/// A test's systems, with a Postgres that it may stop.
async fn with_its_own_postgres() -> (TestStack, PrivateServers, Client) {
    let servers = PrivateServers::start().await.unwrap();
    migrate(&DatabaseConfig::at(&servers.owner_url()), Destructive::Refused).await.unwrap();
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", servers.app_url());
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let client = Client::new(app(Deps {
        edge: stack.edge(),
        tokens: stack.tokens(),
        cache: stack.cache(),
        database: stack.database(),
        openrouter: stack.openrouter(),
        table: stack.table(),
        plans: stack.plans(),
        vault: stack.vault(),
        tasks: Tasks::default(),
        config: Arc::new(ChatConfig::from_env(&stack.env()).unwrap()),
    }));
    (stack, servers, client.signed_in(&cookie))
}

/// Asks, and calls `meanwhile` once the first word has come; the rest of the stream.
async fn ask(stack: &TestStack, client: &Client, meanwhile: impl AsyncFnOnce()) -> String {
    let steps = [delta("one "), pause(Duration::from_millis(500)), delta("two"), stop(), done()];
    stack.provider.script("fake/mine", steps);
    let question = json!({
        "id": "the-chat", "model": "fake/mine",
        "message": { "role": "user", "parts": [{ "type": "text", "text": "hi" }] },
    });
    let request = client.with_json("POST", "/api/chat", question.to_string());
    let mut body = client.open(request).await.into_body();
    let mut heard = String::new();
    while !heard.contains("one ") {
        let frame = body.frame().await.unwrap().unwrap();
        heard += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
    }
    meanwhile().await;
    heard + std::str::from_utf8(&body.collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn a_postgres_that_restarts_between_the_first_word_and_the_last_loses_nothing() {
    let (stack, servers, client) = with_its_own_postgres().await;
    let heard = ask(&stack, &client, async || {
        servers.postgres().stop().await;
        servers.postgres().start().await.unwrap();
    })
    .await;
    assert!(heard.contains(r#""type":"finish""#), "{heard}");
    let question = json!({
        "id": "the-chat", "model": "fake/echo",
        "message": { "role": "user", "parts": [{ "type": "text", "text": "what did you say?" }] },
    });
    assert_eq!(client.post("/api/chat", &question).await.status, 200);
    let prompt = stack.provider.requests().last().unwrap().messages();
    assert!(prompt.contains(&"assistant: one two".to_owned()), "{prompt:?}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_is_still_read_to_its_end_and_it_is_said() {
    let (stack, servers, client) = with_its_own_postgres().await;
    let heard = ask(&stack, &client, async || servers.postgres().stop().await).await;
    assert!(heard.contains(r#""delta":"two""#), "{heard}");
    assert!(heard.contains("answer_not_saved") && heard.ends_with("data: [DONE]\n\n"), "{heard}");
}
