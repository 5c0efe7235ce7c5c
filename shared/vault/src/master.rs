//! Master keys, which wrap data keys: the two kinds, and what both have in common.

use shared_core::random::Entropy;
use shared_core::vault::{DataKeyId, WrappedKey};

use crate::cipher::Cipher;
use crate::error::VaultError;
use crate::{FileKeys, KmsKeys};

/// Where the master keys are.
#[derive(Debug, Clone)]
pub enum MasterKeys {
    /// In AWS KMS, which they never leave.
    Kms(KmsKeys),
    /// In a file, for where there is no KMS.
    File(FileKeys),
}

impl MasterKeys {
    /// The id of the one that wraps new data keys.
    pub(crate) fn current(&self) -> &str {
        match self {
            Self::Kms(keys) => keys.current(),
            Self::File(keys) => keys.current(),
        }
    }

    /// A new data key under the current master key.
    pub(crate) async fn generate(
        &self,
        id: DataKeyId,
        entropy: &Entropy,
    ) -> Result<(WrappedKey, Cipher), VaultError> {
        match self {
            Self::Kms(keys) => keys.generate(id).await,
            Self::File(keys) => Ok(keys.generate(id, entropy)),
        }
    }

    /// The data key that `key` wraps.
    pub(crate) async fn unwrap_key(&self, key: &WrappedKey) -> Result<Cipher, VaultError> {
        match self {
            Self::Kms(keys) => keys.unwrap_key(key).await,
            Self::File(keys) => keys.unwrap_key(key),
        }
    }
}

/// The master key in use, and those that were before it.
#[derive(Debug, Clone)]
pub(crate) struct Keyring<K> {
    pub(crate) current: K,
    former: Vec<K>,
}

impl<K> Keyring<K> {
    /// The keys in their order, newest first; `None` if there are none.
    pub(crate) fn new(keys: impl IntoIterator<Item = K>) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self { current: keys.next()?, former: keys.collect() })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        std::iter::once(&self.current).chain(&self.former)
    }
}
