//! `GET /api/plans`.

use orders::app;
use serde_json::json;
use testkit::{Client, TestStack};

use crate::api::setup::{PATH, User, deps, refused};

#[tokio::test]
async fn everybody_sees_what_each_plan_costs_grants_and_allows() {
    let stack = TestStack::start().await;
    let answer = Client::new(app(deps(&stack))).get("/api/plans").await;
    let expected = json!({
        "items": [
            {
                "id": "free", "name": "Free", "price": null, "days": null, "credits": 5,
                "every": "day", "tiers": ["free"],
                "limits": {
                    "contextTokens": 32_000, "messageBytes": 32_768, "chatTurns": 100,
                    "uploadMib": 5, "storedMib": 100, "turnsPerMinute": 10, "uploadsPerHour": 20,
                    "keyChangesPerDay": 10,
                },
            },
            {
                "id": "premium", "name": "Premium",
                "price": { "amount": "450.00", "currency": "INR" }, "days": 30, "credits": 250,
                "every": "period", "tiers": ["free", "premium"],
                "limits": {
                    "contextTokens": 200_000, "messageBytes": 131_072, "chatTurns": 1_000,
                    "uploadMib": 25, "storedMib": 2_048, "turnsPerMinute": 60, "uploadsPerHour": 200,
                    "keyChangesPerDay": 30,
                },
            },
        ],
        "nextCursor": null,
        "forSale": true,
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
}

#[tokio::test]
async fn without_an_account_at_the_provider_plans_are_shown_and_nothing_is_sold() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    let mut plans = ada.client.get("/api/plans").await.json();
    stack.set("CASHFREE_CLIENT_ID", "");
    let ada = ada.again(&stack);
    plans["forSale"] = json!(false);
    assert_eq!(ada.client.get("/api/plans").await.json(), plans);
    assert_eq!(ada.order().await.refusal(), refused(404, "billing_off"));
    // The orders that there are can be seen.
    let shown = ada.show(&id).await.json();
    assert_eq!((&shown["order"]["state"], &shown["checkout"]), (&json!("active"), &json!(null)));
    assert_eq!(ada.client.get(PATH).await.json()["items"][0]["id"], id);
}
