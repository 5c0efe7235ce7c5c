//! Deadlines and outages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fake_aws::{FakeAws, KeyState, Trouble};
use local_stack::free_port;
use shared_core::chat::ORPHANED_AFTER;
use shared_core::clock::Clock;
use shared_postgres::{DatabaseConfig, Jobs};
use sweep::{Deps, sweep};
use testkit::TestStack;

use crate::orphaned_turns;
use crate::setup::{
    A, AMPLE, B, bring_keys, deps, kms_vault, opened, stack, swept, vault, with_clock,
};

/// An orphaned turn and three keys under A.
async fn work() -> TestStack {
    let stack = stack().await;
    bring_keys(&stack, &vault(&[A]), 3).await;
    let ada = stack.session("ada@example.com").await;
    orphaned_turns::begin(&stack, &ada, 0..1).await;
    stack.clock.advance(ORPHANED_AFTER + Duration::from_millis(1));
    stack
}

async fn as_owner(stack: &TestStack, sql: &str) {
    stack.owner().await.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_run_stops_at_its_deadline_and_the_next_one_does_the_rest() {
    let stack = work().await;
    // Each reading of the clock takes ten seconds.
    let (now, looked) = (stack.clock.now(), AtomicU64::new(0));
    let slow = Clock::new(move || {
        now + Duration::from_secs(10)
            * u32::try_from(looked.fetch_add(1, Ordering::Relaxed)).unwrap()
    });
    let report = sweep(&with_clock(&stack, vault(&[B, A]), slow), Duration::from_secs(125)).await;
    let report = report.unwrap();
    assert!(report.out_of_time && report.duration_ms >= 125_000, "{report:?}");
    assert_eq!(report.count("orphanedTurnsClosed").unwrap(), 1);
    let done = report.count("keysRotated").unwrap();
    assert!((1..3).contains(&done), "{report:?}");

    let report = swept(&stack, vault(&[B, A])).await;
    assert_eq!((report.count("keysRotated").unwrap(), report.out_of_time), (3 - done, false));
}

#[tokio::test]
async fn a_failed_kind_of_work_does_not_block_the_others() {
    let stack = work().await;
    as_owner(&stack, "revoke select on turns from app_job").await;
    let error = sweep(&deps(&stack, vault(&[B, A])), AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("orphaned turns: postgres: "), "{error}");
    assert!(!error.to_string().contains("key rotation"), "{error}");
    assert_eq!(error.report.count("keysRotated").unwrap(), 3);

    as_owner(
        &stack,
        "grant select on turns to app_job; revoke select on provider_keys from app_job",
    )
    .await;
    let error = sweep(&deps(&stack, vault(&[A, B])), AMPLE).await.unwrap_err();
    assert!(error.to_string().contains("key rotation: postgres: "), "{error}");
    assert_eq!(error.report.count("orphanedTurnsClosed").unwrap(), 1);

    as_owner(&stack, "grant select on provider_keys to app_job").await;
    assert_eq!(swept(&stack, vault(&[A, B])).await.count("keysRotated").unwrap(), 3);
}

#[tokio::test]
async fn without_postgres_a_run_fails_and_says_why() {
    let stack = stack().await;
    let nowhere = format!("postgres://postgres@127.0.0.1:{}/chat", free_port().unwrap());
    let clock = stack.clock.clock();
    let jobs = Jobs::new(&DatabaseConfig::at(&nowhere), clock.clone()).unwrap();
    let deps = Deps { jobs, ..deps(&stack, vault(&[A])) };
    let error = sweep(&deps, AMPLE).await.unwrap_err();
    for work in ["orphaned turns: ", "; missing usage: ", "; key rotation: "] {
        assert!(error.to_string().contains(&format!("{work}postgres: ")), "{error}");
    }
    assert!(!error.report.did_something());
}

#[tokio::test]
async fn while_kms_is_unavailable_no_key_counts_as_unreadable() {
    let (stack, aws) = (stack().await, FakeAws::start().await.unwrap());
    let (old, new) = (aws.put_key("old"), aws.put_key("new"));
    bring_keys(&stack, &kms_vault(&aws, &[&old]), 3).await;
    let fails = async |operation: &str| {
        // The SDK tries three times.
        aws.script(3, &Trouble::Broken);
        let error = sweep(&deps(&stack, kms_vault(&aws, &[&new, &old])), AMPLE).await.unwrap_err();
        assert_eq!(aws.calls().last().unwrap().operation, operation);
        assert!(error.to_string().starts_with("key rotation: "), "{error}");
        assert!(!error.report.did_something(), "{error:?}");
    };
    fails("GenerateDataKey").await;
    // Now the new data key exists, so the first call decrypts an old one.
    bring_keys(&stack, &kms_vault(&aws, &[&new]), 1).await;
    fails("Decrypt").await;

    let report = swept(&stack, kms_vault(&aws, &[&new, &old])).await;
    assert_eq!(
        (report.count("keysRotated").unwrap(), report.count("dataKeysDeleted").unwrap()),
        (3, 1)
    );
    assert_eq!(opened(&stack, &kms_vault(&aws, &[&new])).await, 4);
}

#[tokio::test]
async fn a_disabled_master_key_is_tried_once_and_does_not_block_the_others() {
    let (stack, aws) = (stack().await, FakeAws::start().await.unwrap());
    let [off, old, new] = ["off", "old", "new"].map(|id| aws.put_key(id));
    bring_keys(&stack, &kms_vault(&aws, &[&off]), 3).await;
    bring_keys(&stack, &kms_vault(&aws, &[&old]), 2).await;
    aws.set_key_state(&off, KeyState::Disabled);

    let report = swept(&stack, kms_vault(&aws, &[&new, &old, &off])).await;
    assert_eq!(
        (report.count("keysRotated").unwrap(), report.count("keysUnreadable").unwrap()),
        (2, 3)
    );
    let unwrapped = aws.calls().into_iter().filter(|call| call.operation == "Decrypt");
    assert_eq!(unwrapped.filter(|call| call.parameters["KeyId"] == *off).count(), 1);

    aws.set_key_state(&off, KeyState::Enabled);
    let report = swept(&stack, kms_vault(&aws, &[&new, &old, &off])).await;
    assert_eq!(
        (report.count("keysRotated").unwrap(), report.count("keysUnreadable").unwrap()),
        (3, 0)
    );
    assert_eq!(opened(&stack, &kms_vault(&aws, &[&new])).await, 5);
}
