//! Key rotation: a new master key beside the former one, and then without it.

use fake_aws::FakeAws;
use secrecy::ExposeSecret;
use shared_core::keys::{Sealed, WrappedKey};
use shared_vault::{Vault, VaultError};

use crate::setup::{ADA, NEW, OLD, SECRET, data_key, secret, with_file, with_kms};

/// Rotates the master key: `before` has the old one, `between` both, `after` only the new one. `old`
/// is the old one's id.
async fn rotate(before: Vault, between: Vault, after: Vault, old: &str) {
    let key = before.new_data_key(data_key(1)).await.unwrap();
    let sealed = before.seal(&key, ADA, &secret()).await.unwrap();
    assert_eq!(key.master, before.master());

    assert_ne!(key.master, between.master());
    let (new_key, re_encrypted) = re_encrypt(&between, &key, &sealed).await;
    assert_eq!(new_key.master, between.master());

    let opened = after.open(&new_key, ADA, &re_encrypted).await.unwrap();
    assert_eq!(opened.expose_secret(), SECRET);
    let error = after.open(&key, ADA, &sealed).await.unwrap_err();
    assert_eq!(error, VaultError::UnknownMaster(old.to_owned()));
}

async fn re_encrypt(vault: &Vault, key: &WrappedKey, sealed: &Sealed) -> (WrappedKey, Sealed) {
    let secret = vault.open(key, ADA, sealed).await.unwrap();
    let key = vault.new_data_key(data_key(2)).await.unwrap();
    let sealed = vault.seal(&key, ADA, &secret).await.unwrap();
    (key, sealed)
}

#[tokio::test]
async fn a_master_key_in_a_file_is_rotated() {
    let (before, after) = (with_file(&[OLD]), with_file(&[NEW]));
    rotate(before, with_file(&["# newest first", NEW, OLD]), after, "old").await;
}

#[tokio::test]
async fn a_master_key_in_kms_is_rotated() {
    let fake = FakeAws::start().await.unwrap();
    let (old, new) = (fake.put_key("old"), fake.put_key("new"));
    let between = with_kms(&fake, &format!("{new} {old}"));
    rotate(with_kms(&fake, &old), between, with_kms(&fake, &new), &old).await;
}

/// Stored secrets have to stay readable: a new format needs a way to read this one.
#[tokio::test]
async fn secrets_in_the_first_versions_format_open() {
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
