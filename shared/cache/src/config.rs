//! The cache's endpoint and credentials, and the secret that codes are hashed with.

use secrecy::SecretString;
use shared_core::env::{ConfigError, Env};

use crate::Serverless;

/// The cache's endpoint and credentials.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// `CACHE_URL`: `rediss://host:6379` of a Valkey or Redis that speaks the cluster protocol;
    /// `redis://` (no TLS) for a local one. Optional if `CACHE_NAME` is set.
    pub url: Option<SecretString>,
    /// `CACHE_PREFIX`: prefix of every key, so that tests can share a server. Empty by default.
    pub prefix: String,
    /// `CACHE_NAME`: the name of an `ElastiCache` Serverless cache, to look it up at AWS.
    pub serverless: Option<Serverless>,
    /// `CACHE_USER`: a user of that cache, authenticated by IAM tokens. If unset, the URL's
    /// credentials are used.
    pub user: Option<String>,
}

impl CacheConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let serverless = Serverless::from_env(env)?;
        let url = match &serverless {
            None => Some(env.secret("CACHE_URL")?),
            Some(_) => env.optional("CACHE_URL").map(SecretString::from),
        };
        let user = env.optional("CACHE_USER");
        if user.is_some() && serverless.is_none() {
            return Err(ConfigError::new("CACHE_USER", "needs CACHE_NAME beside it"));
        }
        let prefix = env.optional("CACHE_PREFIX").unwrap_or_default();
        Ok(Self { url, prefix, serverless, user })
    }

    /// Looks up the endpoint at AWS, if only the cache's name is known.
    pub async fn located(mut self) -> Result<Self, ConfigError> {
        if let (None, Some(serverless)) = (&self.url, &self.serverless) {
            let state = serverless.describe().await;
            let state = state.map_err(|error| {
                ConfigError::new("CACHE_NAME", format!("does not lead to a cache: {error}"))
            })?;
            let endpoint = state.endpoint.ok_or_else(|| {
                ConfigError::new(
                    "CACHE_NAME",
                    format!("is of a cache without an endpoint: {}", state.status),
                )
            })?;
            self.url = Some(format!("rediss://{endpoint}").into());
        }
        Ok(self)
    }
}

/// The HMAC key of one-time codes and addresses: without it, an attacker with a copy of the cache
/// could try the million possible codes in a second.
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
