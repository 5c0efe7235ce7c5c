//! Credits and limits of the user's plan.

use serde_json::json;
use shared_core::chat::NewTurn;
use shared_core::models::{ModelPricing, Tier};
use testkit::ReadyFile;

use crate::setup::{ada, at, client, live, stack, turn, usage};

#[tokio::test]
async fn a_new_user_has_a_daily_allowance_without_a_row_in_the_database() {
    let stack = stack().await;
    let (_, client) = ada(&stack).await;
    let expected = json!({
        "plan": { "id": "free", "name": "Free", "endsAt": null },
        "credits": {
            "left": 5,
            "allowances": [{
                "plan": "free", "left": 5, "granted": 5, "endsAt": "2026-03-15T00:00:00Z", "renews": true
            }],
        },
        "byok": null,
        "limits": {
            "contextTokens": 32_000, "messageBytes": 32_768, "chatTurns": 100, "uploadMib": 5, "storedMib": 100,
            "turnsPerMinute": 10, "uploadsPerHour": 20, "keyChangesPerDay": 10,
        },
        "storage": { "bytes": 0, "limitBytes": 104_857_600 },
        "days": [],
        "turns": { "items": [], "nextCursor": null },
    });
    assert_eq!(usage(&client).await, expected);
    stack.until_count(0, "select count(*) from allowances").await;
}

#[tokio::test]
async fn a_paid_period_adds_its_credits_and_its_limits_until_it_ends() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    live(&stack, &session, &turn(1)).await;
    stack.premium(&session).await;
    let premium = NewTurn { pricing: ModelPricing { tier: Tier::Premium, credits: 3 }, ..turn(2) };
    live(&stack, &session, &premium).await;

    let paid = usage(&client).await;
    assert_eq!(
        paid["plan"],
        json!({ "id": "premium", "name": "Premium", "endsAt": "2026-04-13T12:00:00Z" })
    );
    assert_eq!(
        paid["credits"],
        json!({
            "left": 251,
            "allowances": [
                { "plan": "premium", "left": 247, "granted": 250, "endsAt": "2026-04-13T12:00:00Z", "renews": false },
                { "plan": "free", "left": 4, "granted": 5, "endsAt": "2026-03-15T00:00:00Z", "renews": true },
            ],
        })
    );
    assert_eq!(paid["limits"]["messageBytes"], 131_072);
    assert_eq!(paid["days"][0]["credits"], 4);

    stack.clock.set(at("2026-04-13T11:59:59.999999Z"));
    let client = self::client(&stack, &stack.session("ada@example.com").await);
    assert_eq!(usage(&client).await["plan"]["id"], "premium");
    stack.clock.set(at("2026-04-13T12:00:00Z"));
    let over = usage(&client).await;
    assert_eq!(over["plan"], json!({ "id": "free", "name": "Free", "endsAt": null }));
    assert_eq!((&over["credits"]["left"], &over["limits"]["chatTurns"]), (&json!(5), &json!(100)));
}

#[tokio::test]
async fn a_plan_that_the_table_no_longer_has_grants_nothing() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    stack.premium(&session).await;
    stack.owner().await.execute("update entitlements set plan = 'gold'", &[]).await.unwrap();
    let usage = usage(&client).await;
    assert_eq!((&usage["plan"]["id"], &usage["credits"]["left"]), (&json!("free"), &json!(5)));
    assert_eq!(usage["credits"]["allowances"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn storage_is_what_the_users_files_take_of_the_plans_limit() {
    let stack = stack().await;
    let (ada, client) = ada(&stack).await;
    for _ in 0..2 {
        stack.ready_upload(&ada, &ReadyFile { bytes: &[0; 700], ..ReadyFile::IMAGE }).await;
    }
    let eve = stack.session("eve@example.com").await;
    stack.ready_upload(&eve, &ReadyFile::IMAGE).await;
    let storage = json!({ "bytes": 1400, "limitBytes": 104_857_600 });
    assert_eq!(usage(&client).await["storage"], storage);
    stack.premium(&ada).await;
    let paid = usage(&client).await;
    assert_eq!(paid["limits"]["storedMib"], 2048);
    assert_eq!(paid["storage"], json!({ "bytes": 1400, "limitBytes": 2_147_483_648_i64 }));
}
