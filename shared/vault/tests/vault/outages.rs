//! KMS unreachable, throttling or refusing.
//!
//! Where the time matters the clock is paused: waits are virtual, and a busy machine adds nothing to them.

use std::pin::pin;
use std::time::Duration;

use fake_aws::{FakeAws, KeyState, Trouble};
use futures_util::FutureExt;
use futures_util::future::join_all;
use shared_vault::{Vault, VaultError};
use tokio::time::{Instant, timeout};

use crate::setup::{SECRET, Stored, data_key};

const SLOW: Trouble = Trouble::Slow(Duration::from_millis(200));

/// The errors of generating and of unwrapping a key.
async fn refusals(stored: &Stored, vault: &Vault) -> [VaultError; 2] {
    let made = vault.new_data_key(data_key(9)).await.unwrap_err();
    [made, stored.open(vault).await.unwrap_err()]
}

#[tokio::test]
async fn a_throttled_call_is_retried() {
    let stored = Stored::new().await;
    stored.fake.script(2, &Trouble::Throttled);
    assert_eq!(stored.open(&stored.vault()).await.unwrap(), SECRET);
    assert_eq!(stored.unwrapped(), 3);
}

#[tokio::test]
async fn all_waiters_share_a_failure_and_the_next_request_retries() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    stored.fake.script(3, &Trouble::Broken);
    for refused in join_all((0..20).map(|_| stored.open(&vault))).await {
        let error = refused.unwrap_err();
        assert!(matches!(error, VaultError::Unavailable(_)), "{error}");
    }
    assert_eq!(stored.unwrapped(), 3);
    assert_eq!(stored.open(&vault).await.unwrap(), SECRET);
    assert_eq!(stored.unwrapped(), 4);
}

#[tokio::test]
async fn a_failure_is_not_reused_while_a_waiter_has_yet_to_see_it() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    stored.fake.script(3, &Trouble::Broken);
    let mut busy = pin!(stored.open(&vault));
    assert!(busy.as_mut().now_or_never().is_none());
    stored.open(&vault).await.unwrap_err();
    assert_eq!(stored.open(&vault).await.unwrap(), SECRET);
    busy.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_kms_timeout_comes_within_six_seconds_and_the_next_call_recovers() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    // For a third attempt there is no time left.
    stored.fake.script(2, &Trouble::Slow(Duration::from_mins(1)));
    let began = Instant::now();
    let error = stored.open(&vault).await.unwrap_err();
    assert!(matches!(error, VaultError::Unavailable(_)), "{error}");
    assert_eq!(error.to_string(), "KMS: no answer in time");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(stored.open(&vault).await.unwrap(), SECRET);
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let mut stored = Stored::new().await;
    let vault = stored.vault();
    stored.fake = FakeAws::start().await.unwrap();
    tokio::task::yield_now().await;
    for error in refusals(&stored, &vault).await {
        assert!(matches!(error, VaultError::Unavailable(_)), "{error}");
        assert!(error.to_string().starts_with("KMS: cannot be reached"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_does_not_cancel_the_shared_call() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    stored.fake.script(1, &SLOW);
    let hasty = timeout(Duration::from_millis(50), stored.open(&vault));
    let (hasty, patient) = tokio::join!(hasty, stored.open(&vault));
    assert!(hasty.is_err());
    assert_eq!(patient.unwrap(), SECRET);
    assert_eq!(stored.unwrapped(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_call_is_retried_by_the_next_request() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    stored.fake.script(1, &Trouble::Slow(Duration::from_mins(1)));
    timeout(Duration::from_millis(50), stored.open(&vault)).await.unwrap_err();
    let opened = timeout(Duration::from_secs(20), stored.open(&vault)).await;
    assert_eq!(opened.unwrap().unwrap(), SECRET);
    assert_eq!(stored.unwrapped(), 2);
}

#[tokio::test]
async fn a_disabled_master_key_is_not_an_outage() {
    let stored = Stored::new().await;
    let warm = stored.vault();
    stored.open(&warm).await.unwrap();
    for (state, code) in [
        (KeyState::Disabled, "DisabledException"),
        (KeyState::PendingDeletion, "KMSInvalidStateException"),
    ] {
        stored.fake.set_key_state(&stored.arn, state);
        for error in refusals(&stored, &stored.vault()).await {
            assert!(matches!(&error, VaultError::MasterUnusable(_)), "{error}");
            assert!(error.to_string().contains(code), "{error}");
        }
        // Unwrapped keys stay cached until the process ends.
        assert_eq!(stored.open(&warm).await.unwrap(), SECRET);
    }
    stored.fake.set_key_state(&stored.arn, KeyState::Enabled);
    assert_eq!(stored.open(&stored.vault()).await.unwrap(), SECRET);
}

#[tokio::test]
async fn a_missing_master_key_is_not_an_outage() {
    let mut stored = Stored::new().await;
    stored.fake = FakeAws::start().await.unwrap();
    let vault = stored.vault();
    for error in refusals(&stored, &vault).await {
        assert!(matches!(&error, VaultError::MasterUnusable(_)), "{error}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_not_an_outage_and_is_named() {
    let stored = Stored::new().await;
    stored.fake.script(2, &Trouble::Denied);
    for error in refusals(&stored, &stored.vault()).await {
        assert!(matches!(&error, VaultError::Denied(_)), "{error}");
        assert!(error.to_string().contains("kms:Decrypt"), "{error}");
    }
}

#[tokio::test]
async fn a_response_without_a_key_is_an_error() {
    let stored = Stored::new().await;
    let answer = Trouble::Answer { status: 200, body: "{}".to_owned() };
    stored.fake.script(2, &answer);
    let [made, opened] = refusals(&stored, &stored.vault()).await;
    assert_eq!(made.to_string(), "KMS: an answer that lacks what was asked for");
    assert_eq!(opened, VaultError::Forged);
}
