//! The built binary on Lambda.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use fake_cashfree::{Attempt, Delivery};
use serde_json::json;
use shared_billing::DELIVERIES;
use shared_core::billing::OrderId;
use testkit::{
    Answer, Function, PHONE, Rie, Stopwatch, TestStack, delivery_event, event_json, signed_event,
};
use tokio::time::sleep;

const BINARY: &str = env!("CARGO_BIN_EXE_webhook");

/// The order in the events.
const ORDER: &str = "019aad5d-d880-7c1e-9b1d-5f3a7c2e9d10";

/// With the events' order, which waits for its payment.
async fn stack() -> TestStack {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    stack.order_as(OrderId::parse(ORDER).unwrap(), &ada, "premium").await;
    stack
}

fn assert_accepted(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{}"));
}

async fn count_waiting(stack: &TestStack) -> u64 {
    stack.inbox().depth(DELIVERIES).await.unwrap().waiting
}

/// The log, once it has this line: it comes through a pipe, beside the answer.
async fn log_with(rie: &Rie, line: &str) -> String {
    let waited = Stopwatch::start();
    while !rie.log().contains(line) {
        let is_late = waited.elapsed_on_time() > Duration::from_secs(10);
        assert!(!is_late, "no {line} in {}", rie.log());
        sleep(Duration::from_millis(10)).await;
    }
    rie.log()
}

/// A delivery of an attempt to pay the events' order.
fn attempt(stack: &TestStack, attempt: Attempt) -> Delivery {
    stack.cashfree.pay(ORDER, attempt).unwrap();
    stack.cashfree.deliveries().pop().unwrap()
}

#[tokio::test]
async fn the_binary_answers_api_gateways_events_under_awss_emulator() {
    let stack = stack().await;
    let (secret, now) = (stack.cashfree.client_secret(), stack.clock.now());
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let refused = rie.post(event_json("webhook-refused")).await;
    assert_eq!(refused.refusal(), (401, "webhook_refused".to_owned()));
    assert_eq!(count_waiting(&stack).await, 0);

    // As they are in the files, all are too old to count by themselves.
    for event in ["webhook-stale", "webhook", "webhook-base64"] {
        assert_accepted(&rie.post(event_json(event)).await);
    }
    assert_eq!(count_waiting(&stack).await, 2);
    stack.until_count(0, "select count(*) from payments").await;

    assert_accepted(&rie.post(signed_event("webhook-base64", &secret, now)).await);
    stack.until_count(1, "select count(*) from payments where result = 'unpaid'").await;
    assert_accepted(&rie.post(signed_event("webhook", &secret, now)).await);
    stack.until_count(1, "select count(*) from payments where result = 'fulfilled'").await;
    stack.until_count(1, "select count(*) from entitlements").await;
    assert_eq!(count_waiting(&stack).await, 2, "the stale ones");
}

#[tokio::test]
async fn a_stale_event_counts_once_the_provider_has_confirmed_it() {
    let stack = stack().await;
    stack.cashfree.pay(ORDER, Attempt::success()).unwrap();
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    assert_accepted(&rie.post(event_json("webhook-stale")).await);
    stack.until_count(0, "select count(*) from entitlements").await;
    stack.sweep(&stack.owner_url()).await;
    stack.until_count(1, "select count(*) from entitlements").await;
    assert_eq!(count_waiting(&stack).await, 0);
}

#[tokio::test]
async fn what_an_operator_has_to_know_is_measured() {
    let stack = stack().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    assert_eq!(rie.post(event_json("webhook-refused")).await.status, 401);
    let mismatch = attempt(&stack, Attempt::success().order_amount("1"));
    assert_accepted(&rie.post(delivery_event(&mismatch)).await);
    attempt(&stack, Attempt::success().began_earlier());
    let refund = stack.cashfree.deliveries().pop().unwrap();
    assert_accepted(&rie.post(delivery_event(&refund)).await);
    for metric in ["WebhookRefused", "PaymentMismatch", "DeliveryArchived"] {
        log_with(&rie, &format!("\"{metric}\":1.0")).await;
    }
    let log = rie.log();
    assert!(log.contains("an operator has to look") && log.contains(ORDER), "{log}");
}

#[tokio::test]
async fn at_trace_level_it_logs_no_secret_no_signature_and_nothing_of_the_buyer() {
    const OWN_SECRETS: [&str; 2] = ["cfsk_planted_new_secret", "cfsk_planted_old_secret"];
    let mut stack = stack().await;
    stack.set("CASHFREE_WEBHOOK_SECRETS", OWN_SECRETS.join(","));
    let (secret, now) = (stack.cashfree.client_secret(), stack.clock.now());
    let session = stack.cashfree.order(ORDER).unwrap().session;
    let genuine = attempt(&stack, Attempt::success());
    let signed = |body: String, secret: &str| {
        let mut delivery = genuine.clone();
        delivery.body = body.into();
        delivery.resign(secret, now);
        delivery
    };
    let unknown = json!({ "type": "LINK_PAID", "payment_session_id": session, "data": {
        "customer_details": { "customer_phone": PHONE }, "order": { "payment_session_id": session } } });
    let mut variables = stack.variables();
    variables.push(("RUST_LOG", "trace".to_owned()));
    let mut rie = Rie::start(BINARY, &variables).await;
    let mut signatures = Vec::new();
    for (delivery, status) in [
        (signed(unknown.to_string(), OWN_SECRETS[1]), 200),
        (signed(format!("{session} {PHONE}"), OWN_SECRETS[0]), 200),
        (signed(json!({ "type": session, PHONE: PHONE }).to_string(), &secret), 200),
        (signed(unknown.to_string(), "cfsk_another_secret"), 401),
        (genuine.clone(), 200),
    ] {
        let answer = rie.post(delivery_event(&delivery)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        signatures.push(delivery.header("x-webhook-signature").to_owned());
    }
    // What fails is logged, too.
    stack.dynamodb.stop().await;
    assert_eq!(rie.post(delivery_event(&signed(unknown.to_string(), &secret))).await.status, 503);

    let log = log_with(&rie, "nothing has stored").await;
    for line in
        ["TRACE", "a webhook is refused", "a delivery is archived", "a payment was reported"]
    {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
    let secrets =
        [OWN_SECRETS[0], OWN_SECRETS[1], secret.as_str(), session.as_str(), PHONE, "fake@upi"];
    for private in secrets.into_iter().chain(signatures.iter().map(String::as_str)) {
        assert!(!log.contains(private), "{private} in {log}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "MONEY_DATABASE_URL", "INBOX_TABLE"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "WebhookFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
