//! AES-256-GCM (NIST SP 800-38D) with keys and plaintexts that are zeroized on drop.

use std::fmt;
use std::sync::Arc;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Length of a key, in bytes.
pub(crate) const KEY: usize = 32;
/// Length of a nonce, in bytes. Random nonces allow 2³² messages under one key (SP 800-38D §8.3); a
/// data key encrypts one per stored API key.
pub(crate) const NONCE: usize = 12;
/// Length of the authentication tag, in bytes.
const TAG: usize = 16;

/// An expanded key. Clones share its key schedule, which is zeroized with the last of them and does
/// not move until then: a move leaves a copy behind.
#[derive(Clone)]
pub(crate) struct Cipher(Arc<Aes256Gcm>);

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY]) -> Self {
        Self(Arc::new(Aes256Gcm::new(key.into())))
    }

    /// Returns the ciphertext followed by its tag, which also authenticates `bound_to` (the AAD).
    pub(crate) fn encrypt(&self, nonce: &[u8; NONCE], bound_to: &[u8], plain: &[u8]) -> Vec<u8> {
        // Reserves room for the tag: reallocation would leave a copy of the plaintext behind.
        let mut text = Vec::with_capacity(plain.len() + TAG);
        text.extend_from_slice(plain);
        let in_place = text.as_mut_slice().into();
        let Ok(tag) = self.0.encrypt_inout_detached(nonce.into(), bound_to, in_place) else {
            unreachable!("GCM takes up to 64 GiB");
        };
        text.extend_from_slice(&tag);
        text
    }

    /// Returns the plaintext; `None` unless all three are of one [`Cipher::encrypt`] under this key.
    pub(crate) fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        bound_to: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let in_place = text.as_mut_slice().into();
        self.0.decrypt_inout_detached(nonce.into(), bound_to, in_place, tag.into()).ok()?;
        Some(text)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks_exact(2);
        pairs.map(|p| u8::from_str_radix(str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    /// Test case 16 of "The Galois/Counter Mode of Operation (GCM)", 2004.
    #[test]
    fn it_matches_gcms_test_vector() {
        let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce = bytes("cafebabefacedbaddecaf888").try_into().unwrap();
        let plain = bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let bound_to = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let sealed = bytes(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
             76fc6ece0f4e1768cddf8853bb2d551b",
        );
        let cipher = Cipher::new(&key.try_into().unwrap());
        assert_eq!(cipher.encrypt(&nonce, &bound_to, &plain), sealed);
        assert_eq!(*cipher.decrypt(&nonce, &bound_to, &sealed).unwrap(), plain);
        assert!(cipher.decrypt(&nonce, b"", &sealed).is_none());
    }

    #[test]
    fn a_ciphertext_too_short_for_a_tag_is_refused() {
        let cipher = Cipher::new(&[7; KEY]);
        for length in 0..TAG {
            assert!(cipher.decrypt(&[0; NONCE], b"", &vec![0; length]).is_none());
        }
    }
}
