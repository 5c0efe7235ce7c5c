//! The built binary on Lambda.

use fake_cashfree::{Attempt, Call, Trouble, When};
use serde_json::Value;
use testkit::{Answer, Function, Rie, SESSION, TestStack, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_orders");

/// Of `orders.json`.
const PHONE: &str = "9908734801";
const KEY: &str = "019ab0d6-5f20-7a41-8c3e-2b7d90e4f611";
/// The order of `orders-one.json`.
const ID: &str = "019ab0d6-7a42-7d05-9b1f-6c3e5d8a2f70";

const EVENTS: [&str; 5] = ["orders-plans", "orders", "orders-again", "orders-list", "orders-one"];

fn order(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    answer.json()["order"].take()
}

#[tokio::test]
async fn the_binary_answers_api_gateways_events_under_awss_emulator() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let plans = rie.post(event("orders-plans")).await.json();
    assert_eq!((&plans["items"][1]["id"], &plans["forSale"]), (&"premium".into(), &true.into()));

    let placed = rie.post(event("orders")).await;
    let id = order(&placed, 201)["id"].as_str().unwrap().to_owned();
    let there = stack.cashfree.order(&id).unwrap();
    assert_eq!(placed.json()["checkout"]["paymentSessionId"], there.session);
    assert_eq!(there.customer_phone, PHONE);
    let again = rie.post(event("orders-again")).await;
    assert_eq!(order(&again, 200)["id"], id);
    assert_eq!(again.json()["checkout"], placed.json()["checkout"]);
    assert_eq!(rie.post(event("orders-list")).await.json()["items"][0]["id"], id);

    let unknown = rie.post(event("orders-one")).await;
    assert_eq!(unknown.refusal(), (404, "order_not_found".to_owned()));
    let one = event("orders-one").replace(ID, &id);
    let open = rie.post(one.clone()).await;
    assert_eq!(
        (&order(&open, 200)["state"], open.header("retry-after")),
        (&"active".into(), Some("2"))
    );

    stack.cashfree.pay(&id, Attempt::success()).unwrap();
    // Its own clock is real, and the provider was asked just now.
    stack.owner().await.batch_execute("update orders set asked_at = null").await.unwrap();
    assert_eq!(order(&rie.post(one).await, 200)["state"], "paid");
    stack.until_count(1, "select count(*) from entitlements").await;
    // The same event has the same idempotency key.
    assert_eq!(order(&rie.post(event("orders")).await, 200)["state"], "paid");
}

#[tokio::test]
async fn an_event_without_a_session_is_refused_unless_it_asks_for_the_plans() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    for event in EVENTS {
        let answer = rie.post(event_json(event)).await;
        if event == "orders-plans" {
            assert_eq!(answer.status, 200, "{}", answer.body);
        } else {
            assert_eq!(answer.refusal(), (401, "unauthenticated".to_owned()), "{event}");
        }
    }
}

#[tokio::test]
async fn without_an_account_at_the_provider_it_starts_and_sells_nothing() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let mut variables = stack.variables();
    variables.retain(|(name, _)| !name.starts_with("CASHFREE_"));
    let mut rie = Rie::start(BINARY, &variables).await;
    assert_eq!(rie.post(event_json("orders-plans")).await.json()["forSale"], false);
    let refusal = rie.post(event_json("orders").replace(SESSION, &cookie)).await;
    assert_eq!(refusal.refusal(), (404, "billing_off".to_owned()));
}

#[tokio::test]
async fn at_trace_level_it_logs_no_phone_number_payment_session_or_secret() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let mut variables = stack.variables();
    variables.push(("RUST_LOG", "trace".to_owned()));
    let mut rie = Rie::start(BINARY, &variables).await;

    // The provider's refusal repeats the number.
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::PhoneRefused);
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::MalformedJson);
    stack.cashfree.fail_next(Call::CreateOrder, 1, Trouble::Closed(When::Before));
    let mut attempts = Vec::new();
    for key in ["refused", "malformed"] {
        attempts.push(rie.post(event("orders").replace(KEY, key)).await);
    }
    assert_eq!(attempts[0].refusal(), (422, "invalid_phone".to_owned()));
    let id = order(&attempts[1], 201)["id"].as_str().unwrap().to_owned();
    stack.cashfree.pay(&id, Attempt::success()).unwrap();
    assert_eq!(order(&rie.post(event("orders-one").replace(ID, &id)).await, 200)["state"], "paid");
    assert_eq!(rie.post(event("orders-again")).await.status, 503);
    let open = rie.post(event("orders-again")).await;
    let misplaced = event("orders").replace("\\\"9908734801\\\"", PHONE);
    let misplaced = rie.post(misplaced).await;
    assert_eq!(misplaced.status, 422, "{}", misplaced.body);

    let log = rie.log();
    assert!(log.contains("TRACE") && log.contains("/api/orders"), "{log}");
    let sessions = stack.cashfree.orders().into_iter().map(|order| order.session);
    let sessions: Vec<_> = sessions.collect();
    assert_eq!((order(&open, 200)["state"].as_str(), sessions.len()), (Some("active"), 2));
    let secrets = [PHONE, &cookie, &stack.cashfree.client_secret()];
    for secret in secrets.into_iter().chain(sessions.iter().map(String::as_str)) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn what_an_operator_has_to_see_is_measured() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let secret = stack.cashfree.client_secret();
    stack.cashfree.set_client_secret("replaced");
    assert_eq!(rie.post(event("orders")).await.status, 502);
    stack.cashfree.set_client_secret(secret);
    let id = order(&rie.post(event("orders")).await, 200)["id"].as_str().unwrap().to_owned();
    stack.cashfree.pay(&id, Attempt::success().order_amount("1")).unwrap();
    assert_eq!(
        order(&rie.post(event("orders-one").replace(ID, &id)).await, 200)["state"],
        "active"
    );
    let log = rie.log();
    for metric in ["PaymentsMisconfigured", "PaymentMismatch"] {
        assert!(log.contains(&format!("\"{metric}\":1")), "no {metric} in {log}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = [
        "APP_ORIGIN",
        "CACHE_URL",
        "CASHFREE_CLIENT_SECRET",
        "DATABASE_URL",
        "MONEY_DATABASE_URL",
        "SESSION_KEYS",
    ];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "OrdersFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
