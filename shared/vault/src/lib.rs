//! Envelope encryption of the users' own API keys (BYOK).
//!
//! A secret is encrypted (AES-256-GCM) under a *data key*, and the data key under a *master key* that
//! never leaves KMS, or on a developer's machine is in a file. The database keeps the ciphertext and the
//! wrapped data key; neither decrypts without the master key. `docs/decisions/0010-envelope-encryption.md`
//! has the reasons.
//!
//! ```text
//! VAULT_KEYS ── master key ──wraps──▶ data key ──encrypts, bound to the user──▶ secret
//!               KMS or a file         WrappedKey, one for many users            Sealed, one per secret
//! ```
//!
//! Data keys are few and are cached in the process once unwrapped, so a warm [`Vault`] makes no KMS
//! calls. It does not use the database: keys and ciphertexts go in and come out as values.
//!
//! What may be lost, such as a remembered phone number, is encrypted under a [`DerivedKey`] instead.

mod cipher;
mod config;
mod data_keys;
mod derived;
mod error;
mod file;
mod keyring;
mod kms;
mod master;
mod vault;

pub use config::VaultConfig;
pub use derived::DerivedKey;
pub use error::VaultError;
pub use file::FileKeys;
pub use kms::KmsKeys;
pub use master::MasterKeys;
pub use vault::Vault;
