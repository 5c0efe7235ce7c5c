//! The vault's errors.

use shared_aws::AwsError;

/// A secret cannot be encrypted or decrypted. Holds no key, no secret and no message of KMS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// KMS is unreachable, throttles, or returns an invalid response; a later retry may succeed.
    #[error("{0}")]
    Unavailable(AwsError),
    /// The function's role may not use the master key.
    #[error(
        "the master key may not be used ({0}); its role needs kms:Decrypt, and for new data keys kms:GenerateDataKey"
    )]
    Denied(AwsError),
    /// The master key is disabled, deleted, pending deletion, or not an encryption key. An operator
    /// has to act.
    #[error("the master key cannot be used ({0})")]
    MasterUnusable(AwsError),
    /// `VAULT_KEYS` does not name the master key that wraps this data key. It is not used even if the
    /// database names it: that could be an attacker's key.
    #[error("VAULT_KEYS does not name the master key {0:?}")]
    UnknownMaster(String),
    /// A ciphertext does not authenticate: damaged, another user's, or under another key than it
    /// claims.
    #[error(
        "a ciphertext does not authenticate: it is damaged, or not what the database says it is"
    )]
    Forged,
}
