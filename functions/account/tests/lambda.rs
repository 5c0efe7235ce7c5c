//! The built binary on Lambda.

use testkit::{Function, Rie, SESSION, TestStack, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_account");

#[tokio::test]
async fn the_binary_answers_api_gateways_events_under_awss_emulator() {
    let stack = TestStack::start().await;
    let session = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&session);
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let me = rie.post(event("account-me")).await;
    assert_eq!(me.status, 200, "{}", me.body);
    assert_eq!(me.json()["email"], "ada@example.com");

    let renamed = rie.post(event("account-rename")).await;
    assert_eq!(renamed.json()["name"], "Ada Lovelace");

    let out = rie.post(event("account-logout")).await;
    assert_eq!((out.status.as_u16(), out.body.as_str()), (204, ""));
    let cookie = out.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-session=; ") && cookie.ends_with("Max-Age=0"), "{cookie}");

    let over = rie.post(event("account-me")).await;
    assert_eq!(over.refusal(), (401, "session_ended".to_owned()));
}

#[tokio::test]
async fn the_query_of_an_event_arrives() {
    let stack = TestStack::start().await;
    stack.session("ada@example.com").await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let event = event_json("account-list").replace(SESSION, &cookie);
    let all = rie.post(event.clone()).await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert!(all["nextCursor"].is_null(), "{all}");

    let first = rie.post(event.replace("\"10\"", "\"1\"")).await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 1);
    assert!(first["nextCursor"].is_string(), "{first}");
}

#[tokio::test]
async fn usage_is_reported_by_the_plans_embedded_in_the_binary() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let event = event_json("account-usage").replace(SESSION, &cookie);
    let usage = rie.post(event.clone()).await.json();
    assert_eq!(usage["plan"]["id"], "free");
    assert_eq!(usage["credits"]["left"], stack.plans().free().credits.get());

    let bad = rie.post(event.replace("\"7\"", "\"0\"")).await;
    assert_eq!(bad.refusal(), (422, "invalid_request".to_owned()));
}

#[tokio::test]
async fn health_checks_and_the_api_document_need_no_session() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    assert_eq!(rie.post(event_json("account-health")).await.json()["status"], "ok");
    assert_eq!(rie.post(event_json("account-ready")).await.json()["status"], "ready");
    assert_eq!(rie.post(event_json("account-openapi")).await.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn an_event_without_a_session_is_refused() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let events =
        ["account-me", "account-rename", "account-list", "account-usage", "account-logout"];
    for event in events {
        let answer = rie.post(event_json(event)).await;
        assert_eq!(answer.refusal(), (401, "unauthenticated".to_owned()), "{event}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "DATABASE_URL", "SESSION_KEYS"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "AccountFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
