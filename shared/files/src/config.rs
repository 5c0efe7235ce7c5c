//! The bucket.

use shared_core::env::{ConfigError, Env};

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesConfig {
    /// `UPLOADS_BUCKET`: the bucket's name. It is in the account's region.
    pub bucket: String,
}

impl FilesConfig {
    /// Reads the variable named at the field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self { bucket: env.required("UPLOADS_BUCKET")? })
    }
}
