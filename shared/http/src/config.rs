//! The configuration of the HTTP edge.

use shared_core::env::{ConfigError, Env};

use crate::origin_secret::OriginSecret;

/// The configuration of the HTTP edge.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `APP_ORIGIN`: where users open the app, such as `https://chat.example.com`, without a trailing
    /// slash. Requests of other origins are refused, and tokens are issued for it.
    pub origin: String,
    pub(crate) origin_secret: OriginSecret,
}

impl HttpConfig {
    /// Reads the variables named at each field, and `ORIGIN_SECRET`, which the distribution sends
    /// with each request; a request without it is refused. If unset, every request is admitted.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let origin = env.required("APP_ORIGIN")?;
        let is_origin = origin
            .split_once("://")
            .is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
        if !is_origin {
            return Err(ConfigError::new("APP_ORIGIN", "has to be like https://chat.example.com"));
        }
        Ok(Self { origin, origin_secret: OriginSecret::from_env(env)? })
    }
}
