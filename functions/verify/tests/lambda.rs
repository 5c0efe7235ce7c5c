//! The built binary on Lambda.

use serde_json::json;
use shared_core::identity::{Code, Email};
use testkit::{Function, Rie, TestStack, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_verify");

/// The code in `verify.json`.
const CODE: &str = "123456";

#[tokio::test]
async fn the_binary_answers_api_gateways_event_under_awss_emulator() {
    let stack = TestStack::start().await;
    let (email, code) = (Email::parse("ada@example.com").unwrap(), Code::parse(CODE).unwrap());
    let now = stack.clock.clock().now();
    stack.codes().issue(&email, &code, now).await.unwrap();
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let wrong = rie.post(event_json("verify-wrong-code")).await;
    assert_eq!(wrong.refusal(), (401, "code_wrong".to_owned()));
    assert_eq!(wrong.json()["error"]["details"], json!({ "triesLeft": 2 }));

    let answer = rie.post(event_json("verify")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["user"]["email"], "ada@example.com");
    let cookie = answer.header("set-cookie").unwrap();
    let (token, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=2592000");
    let token = token.strip_prefix("__Host-session=").unwrap();
    let session = stack.tokens().verify(token, stack.clock.clock().now()).unwrap();
    assert_eq!(answer.json()["user"]["id"], session.user.to_string());

    let again = rie.post(event_json("verify")).await;
    assert_eq!(again.refusal(), (401, "code_expired".to_owned()));
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "CACHE_URL", "DATABASE_URL", "LOGIN_PEPPER", "SESSION_KEYS"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "VerifyFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
