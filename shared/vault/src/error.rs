//! Why a secret cannot be sealed or opened.

use shared_aws::AwsError;

/// A secret cannot be sealed or opened. Holds no key, no secret and no word of KMS's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// KMS is away, too busy, or answers nonsense; it may work again in a moment.
    #[error("{0}")]
    Unavailable(AwsError),
    /// The function's role may not use the master key.
    #[error(
        "the master key may not be used ({0}); its role needs kms:Decrypt, and for new data keys kms:GenerateDataKey"
    )]
    Denied(AwsError),
    /// The master key is disabled, deleted, waiting to be deleted, or not one that encrypts. Somebody
    /// has to look after it.
    #[error("the master key cannot be used ({0})")]
    MasterUnusable(AwsError),
    /// `VAULT_KEYS` does not name the master key that wraps this data key. It is not used whatever the
    /// database says: that could name a key of somebody else's.
    #[error("VAULT_KEYS does not name the master key {0:?}")]
    UnknownMaster(String),
    /// A ciphertext does not authenticate: damaged, another user's, or under another key than it
    /// says.
    #[error(
        "a ciphertext does not authenticate: it is damaged, or not what the database says it is"
    )]
    Forged,
}
