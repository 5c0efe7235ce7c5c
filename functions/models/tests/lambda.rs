//! The built binary on Lambda.

use serde_json::json;
use testkit::{Function, Rie, TestStack, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_models");

#[tokio::test]
async fn the_binary_answers_api_gateways_event_under_awss_emulator() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let answer = rie.post(event_json("models")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let list = answer.json();
    assert_eq!(list["defaultModel"], "openai/gpt-5-mini");
    assert_eq!(list["items"][0]["id"], "openai/gpt-5-mini");
}

#[tokio::test]
async fn a_function_instance_caches_the_list_between_events() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let first = rie.post(event_json("models")).await;
    stack.provider.set_models(json!({ "data": [] }));
    let second = rie.post(event_json("models")).await;
    assert_eq!(first.json(), second.json());
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "OPENROUTER_API_KEY"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "ModelsFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
