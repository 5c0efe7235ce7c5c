//! Sealing and opening.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use shared_core::ids::UserId;
use shared_core::random::Entropy;
use shared_core::vault::{DataKeyId, Sealed, WrappedKey};

use crate::VaultConfig;
use crate::cipher::Cipher;
use crate::data_keys::DataKeys;
use crate::error::VaultError;
use crate::master::MasterKeys;

/// What a ciphertext is, and in which form: begins what it is bound to.
const PURPOSE: &[u8; 14] = b"provider-key/1";

/// Seals secrets and opens them. Cheap to clone; clones share the data keys that they have unwrapped.
#[derive(Clone)]
pub struct Vault {
    master: Arc<MasterKeys>,
    data_keys: Arc<DataKeys>,
    entropy: Entropy,
}

impl Vault {
    /// Makes no request: KMS is asked when a data key is first needed.
    pub fn new(config: &VaultConfig, entropy: Entropy) -> Self {
        let master = Arc::new(config.master.clone());
        Self { master, data_keys: Arc::default(), entropy }
    }

    /// The id of the master key that wraps new data keys.
    pub fn master(&self) -> &str {
        self.master.current()
    }

    /// Makes a data key, wrapped by the current master key, for secrets of any number of users. It is
    /// good for nothing until it is stored.
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

    /// The secret, if it was sealed under `key` for `user`; [`VaultError::Forged`] if not.
    pub async fn open(
        &self,
        key: &WrappedKey,
        user: UserId,
        sealed: &Sealed,
    ) -> Result<SecretString, VaultError> {
        // Would not authenticate; KMS need not be asked.
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

/// Each part has its length, so no two users and keys read the same.
fn bound_to(user: UserId, data_key: DataKeyId) -> Vec<u8> {
    [PURPOSE, user.0.as_bytes().as_slice(), data_key.0.as_bytes()].concat()
}
