//! Turns while Postgres goes away and comes back.

use std::time::Duration;

use fake_openrouter::script::{delta, done, pause, stop};
use http_body_util::BodyExt;
use local_stack::PrivateServers;
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use testkit::TestStack;

use crate::chat::{Chat, body};

/// A chat whose Postgres a test may stop.
async fn with_its_own_postgres() -> (Chat, PrivateServers) {
    let servers = PrivateServers::start().await.unwrap();
    migrate(&DatabaseConfig::at(&servers.owner_url()), Destructive::Refused).await.unwrap();
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", servers.app_url());
    (Chat::on(stack).await, servers)
}

/// Asks, and calls `meanwhile` once the first word has come; the rest of the stream.
async fn ask(chat: &Chat, meanwhile: impl AsyncFnOnce()) -> String {
    let steps = [delta("one "), pause(Duration::from_millis(500)), delta("two"), stop(), done()];
    chat.stack.provider.script("fake/mine", steps);
    let question = body("the-chat", "fake/mine", "hi");
    let request = chat.client.with_json("POST", "/api/chat", question.to_string());
    let mut answer = chat.client.open(request).await.into_body();
    let mut heard = String::new();
    while !heard.contains("one ") {
        let frame = answer.frame().await.unwrap().unwrap();
        heard += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
    }
    meanwhile().await;
    heard + std::str::from_utf8(&answer.collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn a_postgres_that_restarts_between_the_first_word_and_the_last_loses_nothing() {
    let (chat, servers) = with_its_own_postgres().await;
    let heard = ask(&chat, async || {
        servers.postgres().stop().await;
        servers.postgres().start().await.unwrap();
    })
    .await;
    assert!(heard.contains(r#""type":"finish""#), "{heard}");
    assert_eq!(chat.ask("fake/echo", "what did you say?").await.status, 200);
    let prompt = chat.stack.provider.requests().last().unwrap().messages();
    assert!(prompt.contains(&"assistant: one two".to_owned()), "{prompt:?}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_is_still_read_to_its_end_and_it_is_said() {
    let (chat, servers) = with_its_own_postgres().await;
    let heard = ask(&chat, async || servers.postgres().stop().await).await;
    assert!(heard.contains(r#""delta":"two""#), "{heard}");
    assert!(heard.contains("answer_not_saved") && heard.ends_with("data: [DONE]\n\n"), "{heard}");
}
