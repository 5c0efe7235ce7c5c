//! The calls to KMS: their number and their parameters.

use std::time::Duration;

use aws_sdk_kms::types::DataKeySpec;
use fake_aws::Trouble;
use futures_util::future::join_all;
use shared_aws::Aws;
use shared_core::env::Env;
use shared_core::keys::WrappedKey;
use shared_vault::VaultError;

use crate::setup::{ADA, SECRET, Stored, data_key, secret, with_kms};

#[tokio::test]
async fn a_vault_is_made_without_a_call() {
    let stored = Stored::new().await;
    let before = stored.fake.calls().len();
    let vault = stored.vault();
    assert_eq!(vault.master(), stored.key.master);
    assert_eq!(stored.fake.calls().len(), before);
}

#[tokio::test]
async fn a_warm_vault_makes_no_kms_calls() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    let key = vault.new_data_key(data_key(2)).await.unwrap();
    stored.open(&vault).await.unwrap();
    let before = stored.fake.calls().len();
    for _ in 0..100 {
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        // Clones share the cache.
        vault.clone().open(&key, ADA, &sealed).await.unwrap();
        stored.open(&vault).await.unwrap();
    }
    assert_eq!(stored.fake.calls().len(), before);
}

#[tokio::test]
async fn concurrent_requests_for_a_key_share_one_unwrap_call() {
    let stored = Stored::new().await;
    let vault = stored.vault();
    stored.fake.script(1, &Trouble::Slow(Duration::from_millis(100)));
    let opened = join_all((0..50).map(|_| stored.open(&vault))).await;
    assert!(opened.iter().all(|opened| opened.as_deref() == Ok(SECRET)));
    assert_eq!(stored.unwrapped(), 1);
}

#[tokio::test]
async fn the_cache_is_bounded_and_evicts_the_least_recently_used_key() {
    let stored = Stored::new().await;
    let maker = stored.vault();
    let keys: Vec<WrappedKey> = join_all((2..19).map(|id| maker.new_data_key(data_key(id))))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let vault = stored.vault();
    let unwrapped = async |keys: &[WrappedKey]| {
        let before = stored.unwrapped();
        for key in keys {
            vault.seal(key, ADA, &secret()).await.unwrap();
        }
        stored.unwrapped() - before
    };
    assert_eq!(unwrapped(&keys).await, 17);
    // The first one was evicted; the second one stays, as it was used recently.
    assert_eq!(unwrapped(&keys[1..2]).await, 0);
    assert_eq!(unwrapped(&keys[..1]).await, 1);
    assert_eq!(unwrapped(&keys[1..2]).await, 0);
    assert_eq!(unwrapped(&keys[2..3]).await, 1);
}

#[tokio::test]
async fn every_kms_call_has_the_encryption_context() {
    let stored = Stored::new().await;
    stored.open(&stored.vault()).await.unwrap();
    let [made, opened] = &stored.fake.calls()[..] else { panic!("{:?}", stored.fake.calls()) };
    assert_eq!((&*made.operation, &*opened.operation), ("GenerateDataKey", "Decrypt"));
    assert_eq!(made.parameters["KeySpec"], "AES_256");
    for call in [made, opened] {
        assert_eq!(call.parameters["KeyId"], *stored.arn);
        assert_eq!(
            call.parameters["EncryptionContext"].to_string(),
            r#"{"purpose":"provider-keys"}"#
        );
    }
}

#[tokio::test]
async fn a_data_key_of_another_encryption_context_is_refused() {
    let stored = Stored::new().await;
    let variables = stored.fake.variables();
    let found = |name: &str| variables.iter().find(|(key, _)| *key == name);
    let env = Env::new(|name| found(name).map(|(_, value)| value.clone()));
    let client = aws_sdk_kms::Client::new(Aws::from_env(&env).unwrap().sdk_config());
    for (purpose, outcome) in
        [("something-else", Err(VaultError::Forged)), ("provider-keys", Ok(()))]
    {
        let asked = client.generate_data_key().key_id(&stored.arn).key_spec(DataKeySpec::Aes256);
        let made = asked.encryption_context("purpose", purpose).send().await.unwrap();
        let wrapped = made.ciphertext_blob.unwrap().into_inner();
        let key = WrappedKey { id: data_key(2), master: stored.arn.clone(), wrapped };
        assert_eq!(stored.vault().seal(&key, ADA, &secret()).await.map(drop), outcome);
    }
}

#[tokio::test]
async fn the_database_does_not_choose_the_master_key() {
    let stored = Stored::new().await;
    let attackers = stored.fake.put_key("attackers");
    let key = with_kms(&stored.fake, &attackers).new_data_key(data_key(2)).await.unwrap();
    let before = stored.fake.calls().len();
    let refused = stored.vault().seal(&key, ADA, &secret()).await;
    assert_eq!(refused, Err(VaultError::UnknownMaster(attackers)));
    assert_eq!(stored.fake.calls().len(), before);
    // Nor if it names the configured key beside a blob of another.
    let key = WrappedKey { master: stored.arn.clone(), ..key };
    assert_eq!(stored.vault().seal(&key, ADA, &secret()).await, Err(VaultError::Forged));
}
