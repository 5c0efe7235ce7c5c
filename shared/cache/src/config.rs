//! Where the cache is, and the secret under which codes are kept.

use secrecy::SecretString;
use shared_core::env::{ConfigError, Env};

use crate::Serverless;

/// The cache's address, and who logs in there.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// `CACHE_URL`: `rediss://host:6379` of a Valkey or Redis that speaks the cluster protocol;
    /// `redis://` (no TLS) for one on this machine. May be left out beside `CACHE_NAME`.
    pub url: Option<SecretString>,
    /// `CACHE_PREFIX`: put before every key, so that tests can share a server. Empty by default.
    pub prefix: String,
    /// `CACHE_NAME`: that of an `ElastiCache` Serverless cache, for asking AWS about it.
    pub serverless: Option<Serverless>,
    /// `CACHE_USER`: a user of that cache who logs in with a token of IAM's. Left out, the URL says
    /// who logs in.
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

    /// Asks AWS where the cache is, if only its name is known.
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
