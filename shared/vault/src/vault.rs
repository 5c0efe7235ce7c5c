//! Encryption (sealing) and decryption (opening).

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use shared_core::env::{ConfigError, Env};
use shared_core::ids::UserId;
use shared_core::keys::{DataKeyId, Sealed, WrappedKey};
use shared_core::random::Entropy;

use crate::VaultConfig;
use crate::cipher::Cipher;
use crate::data_keys::DataKeys;
use crate::error::VaultError;
use crate::master::MasterKeys;

/// Domain separation: kind and version of a ciphertext, at the start of its AAD.
const PURPOSE: &[u8; 14] = b"provider-key/1";

/// Encrypts and decrypts secrets. Cheap to clone; clones share the cache of data keys.
#[derive(Clone)]
pub struct Vault {
    master: Arc<MasterKeys>,
    data_keys: Arc<DataKeys>,
    entropy: Entropy,
}

impl Vault {
    /// The vault of the master keys in `VAULT_KEYS`.
    pub fn from_env(env: &Env<'_>, entropy: Entropy) -> Result<Self, ConfigError> {
        Ok(Self::new(&VaultConfig::from_env(env)?, entropy))
    }

    /// Makes no request: KMS is called when a data key is first needed.
    pub fn new(config: &VaultConfig, entropy: Entropy) -> Self {
        let master = Arc::new(config.master.clone());
        Self { master, data_keys: Arc::default(), entropy }
    }

    /// The id of the master key that wraps new data keys.
    pub fn master(&self) -> &str {
        self.master.current()
    }

    /// Generates a data key, wrapped by the current master key, for secrets of any number of users.
    /// It has to be stored: what it encrypts cannot be decrypted without it.
    pub async fn new_data_key(&self, id: DataKeyId) -> Result<WrappedKey, VaultError> {
        let (key, cipher) = self.master.generate(id, &self.entropy).await?;
        self.data_keys.keep(key.clone(), cipher);
        Ok(key)
    }

    /// Encrypts a secret of `user` under `key`.
    pub async fn seal(
        &self,
        key: &WrappedKey,
        user: UserId,
        secret: &SecretString,
    ) -> Result<Sealed, VaultError> {
        let cipher = self.data_key(key).await?;
        let nonce = self.entropy.bytes();
        let secret = secret.expose_secret().as_bytes();
        let ciphertext = cipher.encrypt(&nonce, &bound_to(user, key.id), secret);
        Ok(Sealed { data_key: key.id, nonce, ciphertext })
    }

    /// Decrypts a secret; [`VaultError::Forged`] unless it was sealed under `key` for `user`.
    pub async fn open(
        &self,
        key: &WrappedKey,
        user: UserId,
        sealed: &Sealed,
    ) -> Result<SecretString, VaultError> {
        // Would not authenticate; saves a KMS call.
        if sealed.data_key != key.id {
            return Err(VaultError::Forged);
        }
        let cipher = self.data_key(key).await?;
        let secret = cipher.decrypt(&sealed.nonce, &bound_to(user, key.id), &sealed.ciphertext);
        let secret = secret.ok_or(VaultError::Forged)?;
        str::from_utf8(&secret).map(SecretString::from).map_err(|_| VaultError::Forged)
    }

    async fn data_key(&self, key: &WrappedKey) -> Result<Cipher, VaultError> {
        let unwrap = || {
            let (master, key) = (Arc::clone(&self.master), key.clone());
            async move { master.unwrap_key(&key).await }
        };
        self.data_keys.get(key, unwrap).await
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("master", &self.master.current()).finish_non_exhaustive()
    }
}

/// The AAD. Its parts have fixed lengths, so no two pairs of user and key are encoded alike.
fn bound_to(user: UserId, data_key: DataKeyId) -> Vec<u8> {
    [PURPOSE, user.0.as_bytes().as_slice(), data_key.0.as_bytes()].concat()
}
