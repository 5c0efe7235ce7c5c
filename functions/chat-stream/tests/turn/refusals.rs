//! Refused requests leave nothing behind.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Answer, Client};

use crate::app::app;
use crate::chat::{Chat, body};

#[tokio::test]
async fn a_refused_question_can_be_retried_as_a_regeneration_or_an_edit() {
    let chat = Chat::start().await;
    let ways = [json!({ "trigger": "regenerate-message" }), json!({ "messageId": "question-1" })];
    for (number, way) in ways.iter().enumerate() {
        let mut request = body("the-chat", "unknown/model", "hello");
        request["message"]["id"] = json!(format!("question-{number}"));
        assert_eq!(chat.client.post("/api/chat", &request).await.code(), "model_unknown");
        request["model"] = json!("fake/echo");
        request.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
        assert_eq!(chat.client.post("/api/chat", &request).await.text(), "hello");
    }
    chat.stack.until_count(2, "select count(*) from messages where role = 'user'").await;

    // But not under the id of another message.
    let answer = "select id from messages where role = 'assistant' limit 1";
    let answer: String = chat.stack.owner().await.query_one(answer, &[]).await.unwrap().get(0);
    let mut request = body("the-chat", "fake/echo", "hello");
    request["message"]["id"] = json!(answer);
    request["trigger"] = json!("regenerate-message");
    let refused = chat.client.post("/api/chat", &request).await.refusal();
    assert_eq!(refused, (409, "message_exists".into()));
}

#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored() {
    let chat = Chat::start().await;
    let send = async |body: Value| chat.client.post("/api/chat", &body).await.refusal();
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let user =
        |parts: Value| json!({ "id": "the-chat", "message": { "role": "user", "parts": parts } });
    let text = json!([{ "type": "text", "text": "hi" }]);

    assert_eq!(
        chat.client.json("POST", "/api/chat", "{\"id\":").await.refusal(),
        refused(400, "malformed_json")
    );
    assert_eq!(
        send(json!({ "message": { "role": "user", "parts": text } })).await,
        refused(422, "invalid_request")
    );
    assert_eq!(send(json!({ "id": 7 })).await, refused(422, "invalid_request"));
    assert_eq!(send(json!({ "id": "the-chat" })).await, refused(422, "invalid_message"));
    assert_eq!(
        send(json!({ "id": "the-chat", "messages": [] })).await,
        refused(422, "invalid_message")
    );
    assert_eq!(
        send(json!({ "id": "the-chat", "message": "hi" })).await,
        refused(422, "invalid_request")
    );
    assert_eq!(
        send(json!({ "id": "the-chat", "message": { "parts": text } })).await,
        refused(422, "invalid_request")
    );
    assert_eq!(
        send(json!({ "id": "the-chat", "message": { "role": "assistant", "parts": text } })).await,
        refused(422, "invalid_message")
    );
    assert_eq!(send(user(json!([]))).await, refused(422, "invalid_message"));
    assert_eq!(
        send(user(json!([{ "type": "text", "text": " \n" }]))).await,
        refused(422, "invalid_message")
    );
    assert_eq!(
        send(user(json!([{ "type": "text", "text": 7 }]))).await,
        refused(422, "invalid_request")
    );
    assert_eq!(
        send(user(json!([{ "type": "file", "url": "https://x.example/a.png" }]))).await,
        refused(422, "invalid_message")
    );
    assert_eq!(send(body("short", "fake/echo", "hi")).await, refused(422, "invalid_id"));
    assert_eq!(send(body("../../etc/passwd", "fake/echo", "hi")).await, refused(422, "invalid_id"));
    assert_eq!(send(body("the-chat", "unknown/model", "hi")).await, refused(404, "model_unknown"));
    assert_eq!(send(body("the-chat", "fake/echo\n", "hi")).await, refused(404, "model_unknown"));
    let mut odd = body("the-chat", "fake/echo", "hi");
    odd["trigger"] = json!("resume");
    assert_eq!(send(odd).await, refused(422, "invalid_request"));

    let long = chat.ask("fake/echo", &"x".repeat(32 * 1024 + 1)).await;
    assert_eq!(long.refusal(), refused(413, "message_too_long"));
    assert_eq!(long.json()["error"]["details"]["limitBytes"], 32 * 1024);
    assert_eq!(long.json()["error"]["details"]["upgrade"]["plan"], "premium");
    let longer = chat.ask("fake/echo", &"x".repeat(128 * 1024 + 1)).await;
    assert_eq!(longer.json()["error"]["details"]["limitBytes"], 128 * 1024);
    let huge = chat.client.json("POST", "/api/chat", "x".repeat(1024 * 1024 + 1)).await;
    assert_eq!(huge.refusal(), refused(413, "body_too_large"));
    let cross_site = chat.client.clone().with("sec-fetch-site", "cross-site");
    assert_eq!(
        cross_site.post("/api/chat", &body("the-chat", "fake/echo", "hi")).await.refusal(),
        refused(403, "cross_site")
    );

    chat.stack.until_count(0, "select count(*) from chats").await;
    assert!(chat.stack.provider.requests().is_empty());
    assert_eq!(chat.ask("fake/echo", &"x".repeat(32 * 1024)).await.status, 200);
}

#[tokio::test]
async fn an_id_of_another_users_chat_is_free_and_shows_nothing_of_that_chat() {
    let chat = Chat::start().await;
    chat.ask("fake/echo", "adas secret").await;
    let eve = chat.stack.session("eve@example.com").await;
    let eve = Client::new(app(&chat.stack, &chat.tasks)).signed_in(&chat.stack.cookie(&eve));
    for path in ["/api/chat/the-chat/stream?message=answer-01", "/api/chat/the-chat/stop"] {
        let stops = path.ends_with("stop");
        let unknown = if stops { eve.post(path, &Value::Null).await } else { eve.get(path).await };
        assert_eq!(unknown.refusal(), (404, "chat_not_found".into()), "{path}");
    }
    let own = eve.post("/api/chat", &body("the-chat", "fake/echo", "what was said?")).await;
    assert_eq!(own.status, 200);
    let asked = chat.stack.provider.requests().pop().unwrap().body.to_string();
    assert!(asked.contains("what was said?") && !asked.contains("adas secret"), "{asked}");
    chat.stack.until_count(2, "select count(*) from chats where id = 'the-chat'").await;
    chat.stack.until_count(4, "select count(*) from messages").await;
}

#[tokio::test]
async fn a_question_needs_a_session() {
    let chat = Chat::start().await;
    let app = || Client::new(app(&chat.stack, &chat.tasks));
    let question = body("the-chat", "fake/echo", "hi");
    assert_eq!(app().post("/api/chat", &question).await.refusal(), (401, "unauthenticated".into()));
    let session = chat.stack.session("bob@example.com").await;
    let cookie = chat.stack.cookie(&session);
    chat.stack
        .database()
        .request(&session, chat.stack.clock.clock().now())
        .log_out()
        .await
        .unwrap();
    assert_eq!(
        app().signed_in(&cookie).post("/api/chat", &question).await.refusal(),
        (401, "session_ended".into())
    );
    chat.stack.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(
        app().signed_in(&cookie).post("/api/chat", &question).await.refusal(),
        (401, "session_ended".into())
    );
    chat.stack.until_count(0, "select count(*) from chats").await;
    assert!(chat.stack.provider.requests().is_empty());
}

#[tokio::test]
async fn a_turn_beyond_the_plans_rate_limit_is_never_sent() {
    let chat = Chat::premium().await;
    let rate_limit = |answer: &Answer| {
        ["limit", "remaining", "reset"]
            .map(|what| answer.header(&format!("ratelimit-{what}")).unwrap().to_owned())
    };
    for remaining in (0..60).rev() {
        let answer = chat.ask("fake/echo", "hi").await;
        assert_eq!(answer.status, 200);
        assert_eq!(rate_limit(&answer), ["60".to_owned(), remaining.to_string(), "60".to_owned()]);
    }
    chat.stack.clock.advance(Duration::from_secs(20));
    for _ in 0..2 {
        let limited = chat.ask("fake/echo", "hi").await;
        assert_eq!(limited.refusal(), (429, "too_many_turns".into()));
        assert_eq!(limited.header("retry-after"), Some("40"));
        assert_eq!(rate_limit(&limited), ["60", "0", "40"]);
    }
    assert_eq!(chat.stack.provider.requests().len(), 60);
    chat.stack.until_count(60, "select count(*) from messages where role = 'user'").await;
    chat.stack.until_count(190, "select balance::bigint from allowances").await;
    chat.stack.clock.advance(Duration::from_secs(40));
    assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
}

#[tokio::test]
async fn refused_turns_on_the_free_plan_do_not_extend_the_rate_limit() {
    let chat = Chat::start().await;
    // An empty answer spends no credit.
    for _ in 0..10 {
        assert_eq!(chat.ask("fake/empty", "hi").await.status, 200);
    }
    chat.stack.clock.advance(Duration::from_secs(59));
    for _ in 0..20 {
        let limited = chat.ask("fake/empty", "hi").await;
        assert_eq!(limited.refusal(), (429, "too_many_turns".into()));
        assert_eq!(limited.header("ratelimit-limit"), Some("10"));
    }
    chat.stack.clock.advance(Duration::from_secs(1));
    assert_eq!(chat.ask("fake/empty", "hi").await.status, 200);
}
