//! The built binary on Lambda.

use serde_json::{Value, json};
use testkit::{Function, Rie, SESSION, TestStack, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_keys");

/// The key that `keys-put.json` stores.
const KEY: &str = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn the_binary_answers_api_gateways_events_under_awss_emulator() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let none = rie.post(event("keys")).await;
    assert_eq!(none.refusal(), (404, "key_not_found".to_owned()));

    let put = rie.post(event("keys-put")).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(put.header("ratelimit-remaining"), Some("9"));
    let settings = |body: Value| (body["policy"].clone(), body["monthlyCapUsd"].clone());
    assert_eq!(put.json()["masked"], "sk-or-...cdef");
    assert_eq!(settings(put.json()), (json!("always"), json!(20.0)));
    assert_eq!(rie.post(event("keys")).await.json(), put.json());

    let changed = rie.post(event("keys-settings")).await;
    assert_eq!(settings(changed.json()), (json!("fallback"), Value::Null));

    stack.provider.revoke(KEY);
    let unknown = rie.post(event("keys-put")).await;
    assert_eq!(unknown.refusal(), (422, "key_unknown".to_owned()));

    let removed = rie.post(event("keys-remove")).await;
    assert_eq!((removed.status.as_u16(), removed.body.as_str()), (204, ""));
    stack.until_count(0, "select count(*) from provider_keys").await;
}

#[tokio::test]
async fn an_event_without_a_session_is_refused() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    for event in ["keys", "keys-put", "keys-settings", "keys-remove"] {
        let answer = rie.post(event_json(event)).await;
        assert_eq!(answer.refusal(), (401, "unauthenticated".to_owned()), "{event}");
    }
}

#[tokio::test]
async fn it_works_without_the_platforms_key() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let mut variables = stack.variables();
    variables.retain(|(name, _)| *name != "OPENROUTER_API_KEY");
    let mut rie = Rie::start(BINARY, &variables).await;
    let put = rie.post(event_json("keys-put").replace(SESSION, &cookie)).await;
    assert_eq!(put.status, 200, "{}", put.body);
}

#[tokio::test]
async fn at_trace_level_it_does_not_log_the_key() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let mut variables = stack.variables();
    variables.push(("RUST_LOG", "trace".to_owned()));
    let mut rie = Rie::start(BINARY, &variables).await;
    let event = event_json("keys-put").replace(SESSION, &cookie);
    assert_eq!(rie.post(event.clone()).await.status, 200);
    stack.provider.revoke(KEY);
    assert_eq!(rie.post(event).await.status, 422);
    let log = rie.log();
    assert!(log.contains("TRACE") && log.contains("/api/keys/openrouter"), "{log}");
    // Nor the session cookie.
    assert!(!log.contains(&KEY[9..40]) && !log.contains(&cookie), "{log}");
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "CACHE_URL", "DATABASE_URL", "SESSION_KEYS", "VAULT_KEYS"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "KeysFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
