//! The inbox's configuration.

use shared_core::env::{ConfigError, Env};

/// The inbox's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxConfig {
    /// `INBOX_TABLE`: the table's name. It is in the account's region.
    pub table: String,
}

impl InboxConfig {
    /// Reads the variable named at the field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self { table: env.required("INBOX_TABLE")? })
    }
}
