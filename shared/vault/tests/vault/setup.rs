//! Vaults, users and keys to test with.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use fake_aws::FakeAws;
use secrecy::{ExposeSecret, SecretString};
use shared_core::env::{ConfigError, Env};
use shared_core::ids::UserId;
use shared_core::keys::{DataKeyId, Sealed, WrappedKey};
use shared_core::random::Entropy;
use shared_vault::{Vault, VaultConfig, VaultError};
use uuid::Uuid;

pub(crate) const SECRET: &str = "sk-or-v1-hunter2";

/// Lines of a file of master keys.
pub(crate) const OLD: &str = "old:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub(crate) const NEW: &str = "new:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

pub(crate) const ADA: UserId = UserId(Uuid::from_u128(0xada));
pub(crate) const BOB: UserId = UserId(Uuid::from_u128(0xb0b));

pub(crate) fn data_key(number: u128) -> DataKeyId {
    DataKeyId(Uuid::from_u128(number))
}

pub(crate) fn secret() -> SecretString {
    SECRET.into()
}

/// Never the same twice, which is all that nonces need, and all that these tests can check.
pub(crate) fn entropy() -> Entropy {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    Entropy::new(|bytes| {
        for chunk in bytes.chunks_mut(8) {
            let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
        }
    })
}

pub(crate) fn config(keys: &str, fake: Option<&FakeAws>) -> Result<VaultConfig, ConfigError> {
    let variables = fake.map(FakeAws::variables).into_iter().flatten().collect::<Vec<_>>();
    VaultConfig::from_env(&Env::new(|name| match name {
        "VAULT_KEYS" => Some(keys.to_owned()),
        _ => variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()),
    }))
}

/// The vault of a new process.
pub(crate) fn with_kms(fake: &FakeAws, arns: &str) -> Vault {
    Vault::new(&config(arns, Some(fake)).unwrap(), entropy())
}

/// The vault of a new process without an AWS account.
pub(crate) fn with_file(lines: &[&str]) -> Vault {
    let file = KeyFile::of(lines);
    Vault::new(&config(&file.variable(), None).unwrap(), entropy())
}

/// A vault of each kind, and the KMS behind the second.
pub(crate) async fn both() -> ([Vault; 2], FakeAws) {
    let fake = FakeAws::start().await.unwrap();
    let arn = fake.put_key("chat");
    ([with_file(&[NEW]), with_kms(&fake, &arn)], fake)
}

/// A KMS with a key, and a secret of Ada's that an earlier process has encrypted.
pub(crate) struct Stored {
    pub(crate) fake: FakeAws,
    pub(crate) arn: String,
    pub(crate) key: WrappedKey,
    pub(crate) sealed: Sealed,
}

impl Stored {
    pub(crate) async fn new() -> Self {
        let fake = FakeAws::start().await.unwrap();
        let arn = fake.put_key("chat");
        let vault = with_kms(&fake, &arn);
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        Self { fake, arn, key, sealed }
    }

    /// The vault of a new process.
    pub(crate) fn vault(&self) -> Vault {
        with_kms(&self.fake, &self.arn)
    }

    pub(crate) async fn open(&self, vault: &Vault) -> Result<String, VaultError> {
        let opened = vault.open(&self.key, ADA, &self.sealed).await;
        opened.map(|secret| secret.expose_secret().to_owned())
    }

    /// The number of calls to KMS that unwrap a key.
    pub(crate) fn unwrapped(&self) -> usize {
        self.fake.calls().iter().filter(|call| call.operation == "Decrypt").count()
    }
}

/// A file of master keys. Removed when it is dropped.
pub(crate) struct KeyFile(PathBuf);

impl KeyFile {
    pub(crate) fn of(lines: &[&str]) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("keys-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, lines.join("\n")).unwrap();
        Self(path)
    }

    pub(crate) fn variable(&self) -> String {
        format!("file:{}", self.0.display())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
