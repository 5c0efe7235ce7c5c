//! Users' secrets as the database stores them: ciphertexts, and the wrapped data keys they are
//! encrypted under. Values only; `shared-vault` encrypts and decrypts.

use std::fmt;

use uuid::Uuid;

/// The id of a data key, under which secrets are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataKeyId(pub Uuid);

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A data key in its stored form: encrypted under a master key, which is stored elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Its id.
    pub id: DataKeyId,
    /// The master key that wraps it, such as the ARN of a KMS key.
    pub master: String,
    /// The encrypted data key; decrypting it takes the master key.
    pub wrapped: Vec<u8>,
}

/// A secret of one user, encrypted under a data key and bound to both.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The data key that it is encrypted under.
    pub data_key: DataKeyId,
    /// The nonce, drawn for this ciphertext only.
    pub nonce: [u8; 12],
    /// The ciphertext, and after it the tag of 16 bytes that authenticates it.
    pub ciphertext: Vec<u8>,
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedKey")
            .field("id", &self.id)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("data_key", &self.data_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_redacts_ciphertexts() {
        let id = DataKeyId(Uuid::nil());
        let key = WrappedKey { id, master: "m1".into(), wrapped: vec![251; 60] };
        let sealed = Sealed { data_key: id, nonce: [252; 12], ciphertext: vec![253; 40] };
        let shown = format!("{key:?} {sealed:?}");
        assert!(shown.contains("m1") && shown.contains(&id.to_string()), "{shown}");
        assert!(!["251", "252", "253"].iter().any(|byte| shown.contains(byte)), "{shown}");
    }
}
