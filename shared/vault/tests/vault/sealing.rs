//! What a ciphertext is bound to, for both kinds of master key.

use proptest::prelude::*;
use secrecy::ExposeSecret;
use shared_core::keys::{Sealed, WrappedKey};
use shared_vault::{Vault, VaultError};

use crate::setup::{ADA, BOB, NEW, SECRET, both, data_key, secret, with_file};

async fn opened(vault: &Vault, key: &WrappedKey, sealed: &Sealed) -> Result<String, VaultError> {
    vault.open(key, ADA, sealed).await.map(|secret| secret.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_opens_again_also_in_another_process() {
    let (vaults, _fake) = both().await;
    for vault in vaults {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        assert_eq!((key.id, sealed.data_key), (data_key(1), data_key(1)));
        assert_eq!(opened(&vault, &key, &sealed).await.unwrap(), SECRET);
    }
    let key = with_file(&[NEW]).new_data_key(data_key(1)).await.unwrap();
    let sealed = with_file(&[NEW]).seal(&key, ADA, &secret()).await.unwrap();
    assert_eq!(opened(&with_file(&[NEW]), &key, &sealed).await.unwrap(), SECRET);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_round_trips(text in ".*") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let vault = with_file(&[NEW]);
            let key = vault.new_data_key(data_key(1)).await.unwrap();
            let sealed = vault.seal(&key, ADA, &text.clone().into()).await.unwrap();
            assert_eq!(sealed.ciphertext.len(), text.len() + 16);
            assert_eq!(opened(&vault, &key, &sealed).await.unwrap(), text);
        });
    }
}

#[tokio::test]
async fn a_secret_does_not_open_for_another_user() {
    let (vaults, _fake) = both().await;
    for vault in vaults {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let adas = vault.seal(&key, ADA, &secret()).await.unwrap();
        let bobs = vault.seal(&key, BOB, &secret()).await.unwrap();
        for (user, swapped) in [(ADA, &bobs), (BOB, &adas)] {
            let error = vault.open(&key, user, swapped).await.unwrap_err();
            assert_eq!(error, VaultError::Forged);
        }
    }
}

#[tokio::test]
async fn a_secret_does_not_open_under_another_data_key() {
    let (vaults, _fake) = both().await;
    for vault in vaults {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let other = vault.new_data_key(data_key(2)).await.unwrap();
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        let moved = Sealed { data_key: other.id, ..sealed.clone() };
        let renamed = WrappedKey { id: other.id, ..key.clone() };
        for (key, sealed) in
            [(&other, &sealed), (&key, &moved), (&other, &moved), (&renamed, &moved)]
        {
            assert_eq!(opened(&vault, key, sealed).await, Err(VaultError::Forged));
        }
    }
}

#[tokio::test]
async fn no_bit_of_nonce_or_ciphertext_can_change() {
    let (vaults, _fake) = both().await;
    for vault in vaults {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        let (nonce, text) = (8 * sealed.nonce.len(), 8 * sealed.ciphertext.len());
        for bit in 0..nonce + text {
            let mut damaged = sealed.clone();
            match bit.checked_sub(nonce) {
                None => damaged.nonce[bit / 8] ^= 1 << (bit % 8),
                Some(bit) => damaged.ciphertext[bit / 8] ^= 1 << (bit % 8),
            }
            assert_eq!(opened(&vault, &key, &damaged).await, Err(VaultError::Forged), "{bit}");
        }
        for length in 0..sealed.ciphertext.len() {
            let mut short = sealed.clone();
            short.ciphertext.truncate(length);
            assert_eq!(opened(&vault, &key, &short).await, Err(VaultError::Forged), "{length}");
        }
    }
}

#[tokio::test]
async fn no_byte_of_a_wrapped_key_can_change() {
    let (vaults, _fake) = both().await;
    for vault in vaults {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        for place in 0..key.wrapped.len() {
            let mut damaged = key.clone();
            damaged.wrapped[place] ^= 1;
            // The undamaged key is in the cache.
            assert_eq!(opened(&vault, &damaged, &sealed).await, Err(VaultError::Forged));
            assert_eq!(vault.seal(&damaged, ADA, &secret()).await, Err(VaultError::Forged));
        }
        let empty = WrappedKey { wrapped: Vec::new(), ..key.clone() };
        assert!(opened(&vault, &empty, &sealed).await.is_err());
        assert_eq!(opened(&vault, &key, &sealed).await.unwrap(), SECRET);
    }
}

#[tokio::test]
async fn a_secret_never_has_the_same_nonce_or_ciphertext_twice() {
    let (vaults, _fake) = both().await;
    for vault in vaults {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let first = vault.seal(&key, ADA, &secret()).await.unwrap();
        let second = vault.seal(&key, ADA, &secret()).await.unwrap();
        assert_ne!(first.nonce, second.nonce);
        assert_ne!(first.ciphertext[..], second.ciphertext[..]);
    }
}
