//! Master keys, which wrap data keys: the two kinds, and their common interface.

use shared_core::keys::{DataKeyId, WrappedKey};
use shared_core::random::Entropy;

use crate::cipher::Cipher;
use crate::error::VaultError;
use crate::{FileKeys, KmsKeys};

/// Where the master keys are.
#[derive(Debug, Clone)]
pub enum MasterKeys {
    /// In AWS KMS, which they never leave.
    Kms(KmsKeys),
    /// In a file, where there is no KMS.
    File(FileKeys),
}

impl MasterKeys {
    /// The id of the master key that wraps new data keys.
    pub(crate) fn current(&self) -> &str {
        match self {
            Self::Kms(keys) => keys.current(),
            Self::File(keys) => keys.current(),
        }
    }

    /// Generates a data key, wrapped by the current master key.
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

    /// Unwraps a data key.
    pub(crate) async fn unwrap_key(&self, key: &WrappedKey) -> Result<Cipher, VaultError> {
        match self {
            Self::Kms(keys) => keys.unwrap_key(key).await,
            Self::File(keys) => keys.unwrap_key(key),
        }
    }
}
