//! Credits and plans: entitlements, charges, and the details of a refusal.

use std::time::Duration;

use serde_json::json;

use crate::chat::{Chat, body};

#[tokio::test]
async fn the_finish_event_has_the_usage_the_charge_and_the_credits_left() {
    let chat = Chat::start().await;
    let finish = chat.ask("fake/echo", "one two three").await.chunks().pop().unwrap();
    let metadata = &finish["messageMetadata"];
    assert_eq!(metadata["model"], "fake/echo");
    assert_eq!(metadata["usage"]["completionTokens"], 3);
    assert!(metadata["costUsd"].as_f64().unwrap() > 0.0);
    assert_eq!((&metadata["paidBy"], &metadata["credits"]), (&json!("credits"), &json!(1)));
    assert_eq!(metadata["creditsLeft"], 4);
    let settled = "select count(*) from turns where state = 'settled' and credits = 1
                   and completion_tokens = 3 and cost_nano_usd > 0 and model = 'fake/echo'";
    chat.stack.until_count(1, settled).await;
}

#[tokio::test]
async fn an_empty_or_refused_answer_costs_nothing() {
    let chat = Chat::start().await;
    let empty = chat.ask("fake/empty", "hi").await.chunks().pop().unwrap();
    assert_eq!(empty["messageMetadata"]["credits"], 0);
    assert_eq!(empty["messageMetadata"]["creditsLeft"], 5);
    for model in ["fake/status-503", "fake/status-429", "fake/fail-first", "fake/status-402"] {
        chat.ask(model, "hi").await;
    }
    chat.stack.until_count(5, "select balance::bigint from allowances").await;
    chat.stack.until_count(5, "select count(*) from turns where state = 'released'").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_after_its_first_word_is_charged_and_has_metadata() {
    let chat = Chat::start().await;
    let chunks = chat.ask("fake/fail-midstream", "hi").await.chunks();
    let [.., metadata, error] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!(error["type"], "error");
    assert_eq!(metadata["type"], "message-metadata");
    assert_eq!(metadata["messageMetadata"]["credits"], 1);
    assert_eq!(metadata["messageMetadata"]["creditsLeft"], 4);
    chat.stack.until_count(4, "select balance::bigint from allowances").await;
}

#[tokio::test]
async fn without_credits_the_refusal_has_the_renewal_and_the_upgrade() {
    let chat = Chat::start().await;
    chat.stack.clock.set("2026-03-14T12:00:00Z".parse().unwrap());
    let session = chat.stack.session("ada@example.com").await;
    let client = chat.client.clone().signed_in(&chat.stack.cookie(&session));
    let question = body("the-chat", "fake/echo", "hi");
    for _ in 0..5 {
        assert_eq!(client.post("/api/chat", &question).await.status, 200);
    }
    let refused = client.post("/api/chat", &question).await;
    assert_eq!(refused.refusal(), (402, "credits_exhausted".into()));
    let error = &refused.json()["error"];
    assert_eq!(
        error["details"],
        json!({
            "needed": 1,
            "allowances": [
                { "plan": "free", "left": 0, "granted": 5, "endsAt": "2026-03-15T00:00:00Z", "renews": true }
            ],
            "upgrade": { "plan": "premium", "name": "Premium", "at": "/plans" },
            "byokAllowed": true,
        })
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("costs 1 credit,") && message.contains("5 new ones"), "{message}");
    assert_eq!(chat.stack.provider.requests().len(), 5);

    chat.stack.clock.advance(Duration::from_hours(12));
    assert_eq!(client.post("/api/chat", &question).await.status, 200);
}

#[tokio::test]
async fn a_premium_model_needs_a_plan_with_it() {
    let chat = Chat::start().await;
    let refused = chat.ask("openai/gpt-5-mini", "hi").await;
    assert_eq!(refused.refusal(), (403, "model_needs_premium".into()));
    let details = &refused.json()["error"]["details"];
    assert_eq!(details["upgrade"], json!({ "plan": "premium", "name": "Premium", "at": "/plans" }));
    assert_eq!(details["byokAllowed"], true);
    chat.stack.until_count(0, "select count(*) from messages").await;
    assert!(chat.stack.provider.requests().is_empty());

    let chat = chat.on_premium().await;
    let finish = chat.ask("openai/gpt-5-mini", "hi").await.chunks().pop().unwrap();
    assert_eq!(finish["messageMetadata"]["credits"], 3);
    assert_eq!(finish["messageMetadata"]["creditsLeft"], 247);
}

#[tokio::test]
async fn a_chats_turns_and_its_context_are_limited_by_the_plan() {
    let chat = Chat::start().await;
    chat.ask("fake/echo", "hi").await;
    let owner = chat.stack.owner().await;
    owner.execute("update chats set turns = 100", &[]).await.unwrap();
    let full = chat.ask("fake/echo", "hi").await;
    assert_eq!(full.refusal(), (403, "chat_full".into()));
    assert_eq!(full.json()["error"]["details"]["limitTurns"], 100);

    // A token is about four bytes.
    let long = json!([{ "type": "text", "text": "x".repeat(4 * 32_000) }]);
    owner.execute("update chats set turns = 1", &[]).await.unwrap();
    let update = "update messages set parts = $1 where role = 'assistant'";
    owner.execute(update, &[&long]).await.unwrap();
    let large = chat.ask("fake/echo", "hi").await;
    assert_eq!(large.refusal(), (413, "context_too_large".into()));
    let details = &large.json()["error"]["details"];
    assert_eq!(
        (&details["limitTokens"], &details["upgrade"]["plan"]),
        (&json!(32_000), &json!("premium"))
    );
    // Refused turns leave nothing behind.
    chat.stack.until_count(2, "select count(*) from messages").await;
    chat.stack.until_count(4, "select balance::bigint from allowances").await;
    assert_eq!(chat.stack.provider.requests().len(), 1);
    assert_eq!(chat.on_premium().await.ask("fake/echo", "hi").await.status, 200);
}

#[tokio::test]
async fn turns_refused_for_credits_count_for_the_rate_limit() {
    let chat = Chat::start().await;
    chat.ask("fake/echo", "hi").await;
    chat.stack.owner().await.execute("update allowances set balance = 0", &[]).await.unwrap();
    for _ in 0..59 {
        assert_eq!(chat.ask("fake/echo", "hi").await.refusal().0, 402);
    }
    let limited = chat.ask("fake/echo", "hi").await;
    assert_eq!(limited.refusal(), (429, "too_many_turns".into()));
    assert!(limited.header("retry-after").is_some());
}
