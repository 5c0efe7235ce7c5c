//! The built binary on Lambda: the schedule's event, and the report.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use local_stack::free_port;
use serde_json::Value;
use shared_core::chat::ORPHANED_AFTER;
use testkit::{Function, Rie, TestStack, event_json, next_turn};

const BINARY: &str = env!("CARGO_BIN_EXE_sweep");
/// Metrics that have alarms only where plans are sold.
const OF_PAYMENTS: [&str; 5] = [
    "DeliveriesWaiting",
    "DeliveriesFailed",
    "OrdersStuck",
    "PaymentMismatch",
    "PaymentsMisconfigured",
];

/// A turn that began so long ago that it counts as orphaned.
async fn with_an_orphaned_turn() -> TestStack {
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", stack.owner_url());
    let now = stack.clock.now();
    stack.clock.set(now - ORPHANED_AFTER - Duration::from_secs(1));
    let ada = stack.session("ada@example.com").await;
    let (database, plans) = (stack.database(), stack.plans());
    let turn = next_turn("chat-0001", 1);
    database.request(&ada, stack.clock.now()).begin_turn(&turn, &plans, None).await.unwrap();
    stack
}

/// Waits for a log line: the log is read a moment after the response.
async fn until_logged(rie: &Rie, said: &str) {
    for _ in 0..100 {
        if rie.log().contains(said) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not say {said}: {}", rie.log());
}

#[tokio::test]
async fn a_scheduled_run_closes_orphaned_turns_and_reports_it() {
    let stack = with_an_orphaned_turn().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let report: Value = serde_json::from_slice(&rie.invoke(event_json("sweep")).await).unwrap();
    assert_eq!((&report["orphanedTurnsClosed"], &report["outOfTime"]), (&1.into(), &false.into()));
    let counts = r#""counts":"deliveriesProcessed=0 deliveriesWaiting=0 deliveriesFailed=0 turnsStored=0 inboxWaiting=0 inboxFailed=0 orphanedTurnsClosed=1 answersKept=0 orphanedTurnsStuck=0 usageBackfilled=0 keysRotated=0 keysUnreadable=0 dataKeysDeleted=0 ordersChecked=0 ordersStuck=0 uploadsRemoved=0 uploadsNotRemoved=0 ordersFulfilled=0 paymentMismatches=0 paymentsMisconfigured=0""#;
    let metrics = [
        r#""TurnsStored":0.0"#,
        r#""InboxWaiting":0.0"#,
        r#""InboxFailed":0.0"#,
        r#""TurnsOrphaned":1.0"#,
        r#""OrphanedTurnsStuck":0.0"#,
        r#""KeysUnreadable":0.0"#,
    ];
    for said in metrics.into_iter().chain([counts]) {
        until_logged(&rie, said).await;
    }
    for metric in OF_PAYMENTS {
        until_logged(&rie, &format!("\"{metric}\":0.0")).await;
    }

    // An operator's event works like the schedule's.
    let report: Value = serde_json::from_slice(&rie.invoke("{}").await).unwrap();
    assert_eq!(report["orphanedTurnsClosed"], 0);
}

#[tokio::test]
async fn metrics_of_payments_are_written_only_where_plans_are_sold() {
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", stack.owner_url());
    stack.set("CASHFREE_CLIENT_ID", "");
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    rie.invoke(event_json("sweep")).await;
    until_logged(&rie, r#""KeysUnreadable":0.0"#).await;
    for metric in OF_PAYMENTS {
        assert!(!rie.log().contains(metric), "{metric}: {}", rie.log());
    }
}

#[tokio::test]
async fn a_run_that_fails_is_an_error_of_the_function_and_still_reported() {
    let mut stack = TestStack::start().await;
    let nowhere = format!("postgres://postgres@127.0.0.1:{}/chat", free_port().unwrap());
    stack.set("DATABASE_URL", nowhere);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let error: Value = serde_json::from_slice(&rie.invoke(event_json("sweep")).await).unwrap();
    let said = error["errorMessage"].as_str().unwrap();
    assert!(said.contains("orphaned turns: postgres: "), "{said}");
    until_logged(&rie, r#""TurnsOrphaned":0.0"#).await;
    assert!(!rie.log().contains("OrphanedTurnsStuck"), "an unknown count is no zero");
}

#[tokio::test]
async fn a_missing_variable_is_named() {
    let stack = TestStack::start().await;
    let required = ["CACHE_URL", "DATABASE_URL", "INBOX_TABLE", "OPENROUTER_API_KEY", "VAULT_KEYS"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "SweepFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
