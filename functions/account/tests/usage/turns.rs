//! Usage and payer of each turn.

use std::time::Duration;

use serde_json::{Value, json};
use shared_core::chat::{Answer, NewTurn};
use shared_core::models::ModelId;
use testkit::answer_of;

use crate::setup::{ada, begin, byok, finish, live, stack, turn, usage};

#[tokio::test]
async fn a_turn_is_reported_while_it_is_open_and_once_it_is_settled() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    let begun = begin(&stack, &session, &turn(1)).await;
    let open = usage(&client).await;
    assert_eq!(open["credits"]["left"], 4);
    let mut item = json!({
        "answerId": "answer-01", "chatId": "chat-0001", "model": "fake/echo", "paidBy": "credits",
        "state": "open", "credits": 1, "promptTokens": null, "completionTokens": null, "costUsd": null,
        "beganAt": "2026-03-14T12:00:00Z", "endedAt": null,
    });
    assert_eq!(open["turns"]["items"], json!([item]));
    assert_eq!((&open["days"][0]["turns"], &open["days"][0]["credits"]), (&json!(1), &json!(0)));

    stack.clock.advance(Duration::from_secs(9));
    finish(&stack, &begun, &answer_of("yes")).await;
    let settled = usage(&client).await;
    for (field, value) in [
        ("state", json!("settled")),
        ("promptTokens", json!(3)),
        ("completionTokens", json!(2)),
        ("costUsd", json!(7e-9)),
        ("endedAt", json!("2026-03-14T12:00:09Z")),
    ] {
        item[field] = value;
    }
    assert_eq!(settled["turns"]["items"], json!([item]));
    assert_eq!(
        settled["days"],
        json!([{
            "day": "2026-03-14", "model": "fake/echo", "paidBy": "credits", "turns": 1, "promptTokens": 3,
            "completionTokens": 2, "reasoningTokens": 0, "cachedTokens": 0, "costUsd": 7e-9, "credits": 1,
        }])
    );
}

#[tokio::test]
async fn a_turn_with_an_empty_answer_is_released_and_costs_nothing() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    finish(&stack, &begin(&stack, &session, &turn(1)).await, &Answer::default()).await;
    let usage = usage(&client).await;
    assert_eq!(usage["credits"]["left"], 5);
    let item = &usage["turns"]["items"][0];
    assert_eq!((&item["state"], &item["credits"]), (&json!("released"), &json!(0)));
    let day = &usage["days"][0];
    assert_eq!(
        (&day["turns"], &day["credits"], &day["costUsd"]),
        (&json!(1), &json!(0), &json!(0.0))
    );
}

#[tokio::test]
async fn usage_is_grouped_by_model_and_payer() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    live(&stack, &session, &turn(1)).await;
    live(&stack, &session, &turn(2)).await;
    byok(&stack, &session).await;
    live(&stack, &session, &turn(3)).await;
    let other = ModelId::parse("fake/other").unwrap();
    live(&stack, &session, &NewTurn { model: other, ..turn(4) }).await;

    let usage = usage(&client).await;
    assert_eq!(usage["credits"]["left"], 3, "a key takes no credits");
    let days = usage["days"].as_array().unwrap();
    let days = days.iter().map(|day| {
        json!([
            day["model"],
            day["paidBy"],
            day["turns"],
            day["promptTokens"],
            day["costUsd"],
            day["credits"]
        ])
    });
    assert_eq!(
        days.collect::<Value>(),
        json!([
            ["fake/echo", "credits", 2, 6, 1.4e-8, 2],
            ["fake/echo", "byok", 1, 3, 7e-9, 0],
            ["fake/other", "byok", 1, 3, 7e-9, 0],
        ])
    );
    assert_eq!(
        usage["byok"],
        json!({
            "masked": "sk-or-...1c96", "policy": "always", "status": "active", "monthlyCapUsd": 10.0,
            "spentThisMonthUsd": 1.4e-8, "resetsAt": "2026-04-01T00:00:00Z",
        })
    );
}

#[tokio::test]
async fn usage_of_a_chat_remains_when_it_is_deleted() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    live(&stack, &session, &turn(1)).await;
    let before = usage(&client).await;
    assert_eq!(stack.owner().await.execute("delete from chats", &[]).await.unwrap(), 1);
    assert_eq!(usage(&client).await, before);
}
