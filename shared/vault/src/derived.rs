//! A key that is derived from a secret which a function has anyway.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use shared_core::random::Entropy;
use zeroize::Zeroizing;

use crate::cipher::{Cipher, NONCE};

/// Encrypts short values under a key that is derived from a secret: without a call to KMS, and for values that may be
/// lost when the secret is replaced.
#[derive(Clone, Debug)]
pub struct DerivedKey {
    cipher: Cipher,
    entropy: Entropy,
}

impl DerivedKey {
    /// The key for `purpose`. The secret has to be random and long: it is the key of HMAC-SHA-256, whose output is this
    /// one (a single step of [HKDF-Expand](https://www.rfc-editor.org/rfc/rfc5869#section-2.3)).
    pub fn new(secret: &SecretString, purpose: &str, entropy: Entropy) -> Self {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
            unreachable!("HMAC takes keys of any length");
        };
        let expanded = mac.chain_update(purpose).chain_update([1]).finalize().into_bytes();
        let key = Zeroizing::new(expanded.into());
        Self { cipher: Cipher::new(&key), entropy }
    }

    /// Encrypts a value; it can be decrypted only with the same `bound_to`, such as the id of its row.
    pub fn seal(&self, bound_to: &[u8], plain: &str) -> Vec<u8> {
        let nonce: [u8; NONCE] = self.entropy.bytes();
        let mut sealed = nonce.to_vec();
        sealed.extend(self.cipher.encrypt(&nonce, bound_to, plain.as_bytes()));
        sealed
    }

    /// Decrypts a value; `None` if it was encrypted under another key or bound to something else.
    pub fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Option<SecretString> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let plain = self.cipher.decrypt(nonce, bound_to, sealed)?;
        str::from_utf8(&plain).ok().map(SecretString::from)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    fn key(secret: &str, purpose: &str) -> DerivedKey {
        let drawn = AtomicU8::new(0);
        let entropy = Entropy::new(move |bytes| bytes.fill(drawn.fetch_add(1, Ordering::Relaxed)));
        DerivedKey::new(&secret.into(), purpose, entropy)
    }

    fn opened(key: &DerivedKey, bound_to: &[u8], sealed: &[u8]) -> Option<String> {
        key.open(bound_to, sealed).map(|plain| plain.expose_secret().to_owned())
    }

    #[test]
    fn a_value_is_decrypted_by_its_own_key_and_bound_to_its_own_row_only() {
        let phones = key("secret", "phones");
        let sealed = phones.seal(b"ada", "9908734801");
        assert_eq!(opened(&phones, b"ada", &sealed).as_deref(), Some("9908734801"));
        assert_eq!(
            opened(&key("secret", "phones"), b"ada", &sealed).as_deref(),
            Some("9908734801")
        );
        for (key, bound_to) in [
            (&phones, &b"eve"[..]),
            (&key("secret", "sessions"), b"ada"),
            (&key("another", "phones"), b"ada"),
        ] {
            assert_eq!(opened(key, bound_to, &sealed), None);
        }
        for damaged in [&sealed[..11], &sealed[..20], &[]] {
            assert_eq!(opened(&phones, b"ada", damaged), None);
        }
    }

    #[test]
    fn the_same_value_is_never_encrypted_to_the_same_bytes() {
        let phones = key("secret", "phones");
        assert_ne!(phones.seal(b"ada", "9908734801"), phones.seal(b"ada", "9908734801"));
        assert!(!format!("{phones:?}").contains("secret"));
    }
}
