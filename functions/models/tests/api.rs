//! `GET /api/models`, against a fake provider.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::sync::Arc;
use std::time::Duration;

use models::{Deps, app};
use serde_json::json;
use shared_core::models::ModelTable;
use shared_openrouter::Catalogue;
use testkit::{Client, TestStack};

const TABLE: &str = r#"
default = "b/two"
[[model]]
id = "b/two"
tier = "premium"
credits = 3
[[model]]
id = "a/*"
tier = "free"
"#;

fn client(stack: &TestStack) -> Client {
    let table = Arc::new(ModelTable::parse(TABLE).unwrap());
    let catalogue = Arc::new(Catalogue::new(stack.openrouter(), table));
    Client::new(app(Deps { app: stack.app_context(), catalogue }))
}

fn listed(id: &str) -> serde_json::Value {
    json!({
        "id": id, "name": format!("Model {id}"), "context_length": 8000,
        "architecture": { "input_modalities": ["text", "image"], "output_modalities": ["text"] },
        "pricing": { "prompt": "0.000001", "completion": "0.000002" },
        "supported_parameters": ["reasoning"],
    })
}

#[tokio::test]
async fn the_list_has_the_providers_models_that_the_table_offers() {
    let stack = TestStack::start().await;
    stack
        .provider
        .set_models(json!({ "data": [listed("a/one"), listed("c/three"), listed("b/two")] }));
    let answer = client(&stack).get("/api/models").await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let item = |id: &str, tier: &str, credits: u32| {
        json!({
            "id": id, "name": format!("Model {id}"), "contextLength": 8000, "reasoning": true,
            "modalities": { "input": ["text", "image"], "output": ["text"] },
            "price": { "prompt": "0.000001", "completion": "0.000002" }, "tier": tier, "credits": credits,
        })
    };
    assert_eq!(
        answer.json(),
        json!({
            "items": [item("b/two", "premium", 3), item("a/one", "free", 1)],
            "defaultModel": "b/two", "nextCursor": null,
        })
    );
}

#[tokio::test]
async fn the_list_is_cached_for_ten_minutes_and_survives_an_outage_of_the_provider() {
    let mut stack = TestStack::start().await;
    stack.provider.set_models(json!({ "data": [listed("a/one")] }));
    let client = client(&stack);
    let ids = async || client.get("/api/models").await.json()["items"].as_array().unwrap().len();
    assert_eq!(ids().await, 1);
    stack.provider.set_models(json!({ "data": [listed("a/one"), listed("b/two")] }));
    stack.clock.advance(Duration::from_secs(599));
    assert_eq!(ids().await, 1);
    stack.clock.advance(Duration::from_secs(1));
    assert_eq!(ids().await, 2);

    let gone = std::mem::replace(
        &mut stack.provider,
        fake_openrouter::FakeOpenRouter::start().await.unwrap(),
    );
    gone.shutdown().await;
    stack.clock.advance(Duration::from_hours(1));
    assert_eq!(ids().await, 2);
}

#[tokio::test]
async fn without_a_list_it_answers_503_with_retry_after() {
    let mut stack = TestStack::start().await;
    stack.set("OPENROUTER_BASE_URL", "http://127.0.0.1:1");
    let answer = client(&stack).get("/api/models").await;
    assert_eq!(answer.refusal(), (503, "models_unavailable".into()));
    assert_eq!(answer.header("retry-after"), Some("5"));
    // The CDN must not cache an error.
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn only_get_is_allowed() {
    let stack = TestStack::start().await;
    let answer = client(&stack).post("/api/models", &json!({})).await;
    assert_eq!(answer.refusal(), (405, "method_not_allowed".into()));
}
