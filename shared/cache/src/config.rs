//! Where the cache is, and the secret under which codes are kept.

use secrecy::SecretString;
use shared_core::env::{ConfigError, Env};

/// The cache's address.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// `CACHE_URL`: `rediss://host:6379` of a Valkey or Redis that speaks the cluster protocol;
    /// `redis://` (no TLS) for one on this machine.
    pub url: SecretString,
    /// `CACHE_PREFIX`: put before every key, so that tests can share a server. Empty by default.
    pub prefix: String,
}

impl CacheConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            url: env.secret("CACHE_URL")?,
            prefix: env.optional("CACHE_PREFIX").unwrap_or_default(),
        })
    }
}

/// The key under which one-time codes and addresses are hashed: without it, the million possible
/// codes could be tried against a copy of the cache in a second.
#[derive(Debug, Clone)]
pub struct Pepper(pub(crate) SecretString);

impl Pepper {
    /// `LOGIN_PEPPER`: at least 32 characters, random.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let pepper = env.required("LOGIN_PEPPER")?;
        if pepper.len() < 32 {
            return Err(ConfigError::new("LOGIN_PEPPER", "needs at least 32 characters"));
        }
        Ok(Self(pepper.into()))
    }
}
