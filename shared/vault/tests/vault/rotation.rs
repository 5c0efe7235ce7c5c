//! A new master key beside a former one, and then without it.

use fake_aws::FakeAws;
use secrecy::ExposeSecret;
use shared_core::vault::{Sealed, WrappedKey};
use shared_vault::{Vault, VaultError};

use crate::setup::{ADA, NEW, OLD, SECRET, data_key, secret, with_file, with_kms};

/// What one goes through: `before` has the old key, `between` both, `after` the new one. The
/// last knows the old key by `old`.
async fn goes_over(before: Vault, between: Vault, after: Vault, old: &str) {
    let key = before.new_data_key(data_key(1)).await.unwrap();
    let sealed = before.seal(&key, ADA, &secret()).await.unwrap();
    assert_eq!(key.master, before.master());

    assert_ne!(key.master, between.master());
    let (new_key, resealed) = sealed_anew(&between, &key, &sealed).await;
    assert_eq!(new_key.master, between.master());

    let opened = after.open(&new_key, ADA, &resealed).await.unwrap();
    assert_eq!(opened.expose_secret(), SECRET);
    let error = after.open(&key, ADA, &sealed).await.unwrap_err();
    assert_eq!(error, VaultError::UnknownMaster(old.to_owned()));
}

async fn sealed_anew(vault: &Vault, key: &WrappedKey, sealed: &Sealed) -> (WrappedKey, Sealed) {
    let secret = vault.open(key, ADA, sealed).await.unwrap();
    let key = vault.new_data_key(data_key(2)).await.unwrap();
    let sealed = vault.seal(&key, ADA, &secret).await.unwrap();
    (key, sealed)
}

#[tokio::test]
async fn from_one_line_of_a_file_to_another() {
    let (before, after) = (with_file(&[OLD]), with_file(&[NEW]));
    goes_over(before, with_file(&["# newest first", NEW, OLD]), after, "old").await;
}

#[tokio::test]
async fn from_one_key_of_kms_to_another() {
    let fake = FakeAws::start().await.unwrap();
    let (old, new) = (fake.put_key("old"), fake.put_key("new"));
    let between = with_kms(&fake, &format!("{new} {old}"));
    goes_over(with_kms(&fake, &old), between, with_kms(&fake, &new), &old).await;
}

/// What is stored once has to open for good: a change of the form needs a way to read this one.
#[tokio::test]
async fn what_the_first_version_has_stored_opens() {
    let key = WrappedKey { id: data_key(1), master: "new".into(), wrapped: bytes(WRAPPED) };
    let nonce = bytes(NONCE).try_into().unwrap();
    let sealed = Sealed { data_key: key.id, nonce, ciphertext: bytes(CIPHERTEXT) };
    let opened = with_file(&[NEW]).open(&key, ADA, &sealed).await.unwrap();
    assert_eq!(opened.expose_secret(), SECRET);
}

const WRAPPED: &str = "696c747c9f6015177ee8befb3e2044bbd683c88e763d6fe661f3db7a13322cdd\
    74185380d3f10e037e328bdb8a1fcc87249e14e2814eefac8a340051";
const NONCE: &str = "9364097b12548453a8e053fa";
const CIPHERTEXT: &str = "36f5a708ef8beaf90402903a01749bde6c39a7126802b62c1c85a5b9a9375ef8";

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
