//! Speculation: the model is asked on a prediction, and the turn turns out otherwise.

use std::time::Duration;

use fake_openrouter::Script;
use fake_openrouter::script::{delta, done, silent, stop, usage};
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared_core::keys::KeyPolicy;
use testkit::Answer;

use crate::chat::{Chat, body};
use crate::reading::text_of;

const KEY: &str = "sk-or-v1-ada-0123456789abcdef";

fn saying(word: &str) -> Script {
    [delta(word), stop(), usage(9, 3, 0.001), done()].into()
}

fn question(id: &str) -> Value {
    let mut body = body("the-chat", "fake/mine", "hi");
    body["message"]["id"] = json!(id);
    body
}

impl Chat {
    /// A chat with one answer, `before`, and a model that says nothing from now on.
    async fn with_silent_model() -> Self {
        let chat = Self::start().await;
        chat.stack.provider.script("fake/mine", saying("before"));
        assert_eq!(chat.client.post("/api/chat", &question("question-1")).await.status, 200);
        chat.stack.provider.script("fake/mine", [silent()]);
        chat
    }

    /// Posts `request`, and runs `sql` after the model was asked and before the turn begins: what begins it waits for
    /// the lock, and what predicts it does not. `then` is what the model says when it is asked again.
    async fn ask_while(&self, request: &Value, sql: &str, then: Option<Script>) -> Answer {
        let mut owner = self.stack.owner().await;
        let change = owner.transaction().await.unwrap();
        change.batch_execute("lock table chats in exclusive mode").await.unwrap();
        let asked_before = self.stack.provider.requests().len();
        let change = async {
            while self.stack.provider.requests().len() == asked_before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if let Some(script) = then {
                self.stack.provider.script("fake/mine", script);
            }
            change.batch_execute(sql).await.unwrap();
            change.commit().await.unwrap();
        };
        tokio::join!(self.client.post("/api/chat", request), change).0
    }

    async fn until_no_stream_is_active(&self) {
        while self.stack.provider.active_streams() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_that_comes_after_the_model_was_asked_cancels_the_request() {
    let running = "
        insert into turns (user_id, answer_id, chat_id, model, paid_by, credits, state, began_at)
        select user_id, 'another-1', id, 'm', 'byok', 0, 'open', updated_at from chats;
        insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
        select user_id, 'another-1', id, head_id, 'assistant', 'streaming', '[]', updated_at from chats;
        update chats set head_id = 'another-1'";
    let taken = "
        insert into messages (user_id, id, chat_id, role, status, parts, created_at)
        select user_id, 'question-2', id, 'user', 'complete', '[]', created_at from chats";
    let spent = "
        update allowances set balance = 0;
        update turns set credits = 5;
        update credit_ledger set amount = -5 where kind = 'reserve'";
    for (sql, expected) in [
        ("update sessions set revoked_at = now()", (401, "session_ended")),
        (spent, (402, "credits_exhausted")),
        ("update chats set turns = 100000", (403, "chat_full")),
        (running, (409, "turn_running")),
        (taken, (409, "message_exists")),
    ] {
        let chat = Chat::with_silent_model().await;
        let another = testkit::message_id("another-1");
        chat.stack
            .cache()
            .live_log(chat.session.user, &another)
            .heartbeat(None, None)
            .await
            .unwrap();
        let answer = chat.ask_while(&question("question-2"), sql, None).await;
        assert_eq!(answer.refusal(), (expected.0, expected.1.to_owned()));
        chat.until_no_stream_is_active().await;
        assert_eq!(chat.stack.provider.requests().len(), 2);
        let texts = "select count(*) from messages where role = 'assistant' and parts <> '[]'";
        chat.stack.until_count(1, texts).await;
        chat.stack.assert_books_are_right().await;
    }
}

#[tokio::test]
async fn a_duplicate_that_comes_first_is_joined() {
    let chat = Chat::with_silent_model().await;
    chat.stack.provider.script("fake/mine", [silent()]);
    let first = "
        insert into turns (user_id, answer_id, chat_id, model, paid_by, credits, state, began_at)
        select user_id, 'another-1', id, 'm', 'byok', 0, 'settled', updated_at from chats;
        insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
        select user_id, 'question-2', id, head_id, 'user', 'complete', '[{\"type\":\"text\",\"text\":\"hi\"}]', updated_at
          from chats;
        insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
        select user_id, 'another-1', id, 'question-2', 'assistant', 'complete',
               '[{\"type\":\"text\",\"text\":\"said once\"}]', updated_at from chats;
        update chats set head_id = 'another-1', turns = 2";
    let answer = chat.ask_while(&question("question-2"), first, None).await;
    assert_eq!(text_of(&answer.body), "said once");
    chat.until_no_stream_is_active().await;
    chat.stack.until_count(2, "select count(*) from turns").await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_turn_with_another_input_than_predicted_asks_again() {
    let chat = Chat::with_silent_model().await;
    let corrected = r#"update messages set parts = '[{"type":"text","text":"corrected"}]' where role = 'assistant'"#;
    let answer = chat.ask_while(&question("question-2"), corrected, Some(saying("after"))).await;
    assert_eq!(text_of(&answer.body), "after");
    let requests = chat.stack.provider.requests();
    let [_, predicted, begun] = &requests[..] else { panic!("{requests:?}") };
    assert!(predicted.messages().iter().any(|message| message.contains("before")));
    assert!(begun.messages().iter().any(|message| message.contains("corrected")));
    chat.until_no_stream_is_active().await;
    chat.stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_key_that_is_deleted_meanwhile_does_not_pay() {
    let chat = Chat::with_silent_model().await;
    chat.stack.byok(&chat.session, KEY, KeyPolicy::Always, None).await;
    let deleted = "delete from provider_keys";
    let answer = chat.ask_while(&question("question-2"), deleted, Some(saying("after"))).await;
    assert_eq!(text_of(&answer.body), "after");
    let keys: Vec<_> =
        chat.stack.provider.requests().iter().map(|request| request.key().to_owned()).collect();
    assert_eq!(keys[1..], [KEY, "sk-or-v1-test"]);
    chat.stack.until_count(2, "select count(*) from turns where paid_by = 'credits'").await;
}

#[tokio::test]
async fn a_request_whose_turn_does_not_begin_soon_is_cancelled_and_sent_again_when_it_does() {
    let chat = Chat::with_silent_model().await;
    let mut owner = chat.stack.owner().await;
    let lock = owner.transaction().await.unwrap();
    lock.batch_execute("lock table chats in exclusive mode").await.unwrap();
    let unlock = async {
        while chat.stack.provider.active_streams() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        chat.until_no_stream_is_active().await;
        chat.stack.provider.script("fake/mine", saying("after"));
        lock.commit().await.unwrap();
    };
    let question = question("question-2");
    let (answer, ()) = tokio::join!(chat.client.post("/api/chat", &question), unlock);
    assert_eq!(text_of(&answer.body), "after");
    assert_eq!(chat.stack.provider.requests().len(), 3);
}

#[tokio::test]
async fn of_concurrent_turns_those_ask_a_model_that_the_credits_pay_for() {
    let chat = Chat::start().await;
    let turns = (0..10).map(async |place| {
        let question = body(&format!("chat-{place:03}"), "fake/echo", "hi");
        chat.client.post("/api/chat", &question).await.status.as_u16()
    });
    let mut statuses = join_all(turns).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 5], [402; 5]].concat());
    assert_eq!(chat.stack.provider.requests().len(), 5);
}

#[tokio::test]
async fn a_user_over_the_rate_limit_asks_no_model() {
    let chat = Chat::start().await.on_premium().await;
    for place in 0..60 {
        let question = body(&format!("chat-{place:03}"), "fake/echo", "hi");
        assert_eq!(chat.client.post("/api/chat", &question).await.status, 200);
    }
    let refused = chat.client.post("/api/chat", &body("one-more", "fake/echo", "hi")).await;
    assert_eq!(refused.refusal(), (429, "too_many_turns".into()));
    assert_eq!(chat.stack.provider.requests().len(), 60);
}
