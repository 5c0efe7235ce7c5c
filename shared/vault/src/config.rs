//! Configuration of the master keys.

use std::fs;

use shared_aws::Aws;
use shared_core::env::{ConfigError, Env};
use zeroize::Zeroizing;

use crate::master::MasterKeys;
use crate::{FileKeys, KmsKeys};

const VARIABLE: &str = "VAULT_KEYS";

/// Where the master keys are.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// `VAULT_KEYS`: ARNs of KMS keys, separated by spaces, or `file:<path>` of a file whose lines are
    /// `<id>:<64 hex digits>`, for a developer's machine. The first key wraps new data keys; the
    /// others, kept for key rotation, only unwrap.
    pub master: MasterKeys,
}

impl VaultConfig {
    /// Reads the variable named at the field, the file if it names one, and otherwise the account's
    /// variables; the keys must be in its region.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let value = env.required(VARIABLE)?;
        let master = if let Some(path) = value.strip_prefix("file:") {
            MasterKeys::File(read(path)?)
        } else if value.starts_with("arn:") {
            MasterKeys::Kms(KmsKeys::parse(&value, Aws::from_env(env)?).map_err(problem)?)
        } else {
            return Err(problem("has to be ARNs of KMS keys, or file:<path>"));
        };
        Ok(Self { master })
    }
}

fn read(path: &str) -> Result<FileKeys, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|error| problem(format!("names a file that cannot be read: {error}")))?;
    FileKeys::parse(&Zeroizing::new(text)).map_err(problem)
}

fn problem(problem: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(VARIABLE, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:ap-south-1:111122223333:key/1234abcd-12ab";

    fn config(keys: &str) -> Result<VaultConfig, ConfigError> {
        VaultConfig::from_env(&Env::new(|name| match name {
            "VAULT_KEYS" => Some(keys.to_owned()),
            "AWS_REGION" => Some("ap-south-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("hunter2".to_owned()),
            _ => None,
        }))
    }

    #[test]
    fn the_first_key_is_the_current_one() {
        let former = ARN.replace("1234abcd", "former");
        let config = config(&format!("{ARN}  {former}\n")).unwrap();
        assert!(matches!(&config.master, MasterKeys::Kms(keys) if keys.current() == ARN));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn an_invalid_master_key_is_refused_and_not_repeated() {
        let other_region = ARN.replace("ap-south-1", "us-east-1");
        for (keys, problem) in [
            (String::new(), "is not set"),
            ("hunter2".into(), "has to be ARNs of KMS keys, or file:<path>"),
            (ARN.replace("key/", "alias/"), "has to be ARNs of KMS keys: arn:aws:kms:"),
            (ARN.replace("kms", "secretsmanager"), "has to be ARNs of KMS keys: arn:aws:kms:"),
            (format!("{ARN},{ARN}"), "has to be ARNs of KMS keys: arn:aws:kms:"),
            (format!("{ARN} {other_region}"), "names a key of another region than AWS_REGION"),
            ("file:/no/such/file".into(), "names a file that cannot be read: No such file"),
        ] {
            let error = config(&keys).unwrap_err().to_string();
            assert!(error.starts_with(&format!("VAULT_KEYS {problem}")), "{error}");
            let repeated = ["hunter2", "1234abcd"].iter().any(|value| error.contains(value));
            assert!(!repeated, "{error}");
        }
    }

    #[test]
    fn the_aws_account_is_read_only_for_kms_keys() {
        let env = Env::new(|name| (name == "VAULT_KEYS").then(|| ARN.to_owned()));
        assert_eq!(
            VaultConfig::from_env(&env).unwrap_err(),
            ConfigError::new("AWS_REGION", "is not set")
        );
        let env = Env::new(|name| (name == "VAULT_KEYS").then(|| "file:/no/such/file".to_owned()));
        VaultConfig::from_env(&env).unwrap_err();
        assert_eq!(env.asked().into_iter().collect::<Vec<_>>(), ["VAULT_KEYS"]);
    }
}
