//! One multiplexed connection per process, made when first needed and mended by the driver.

use std::sync::Arc;
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{RedisError, ScriptInvocation};
use secrecy::ExposeSecret;
use shared_core::env::ConfigError;
use tokio::sync::OnceCell;

use crate::CacheConfig;

/// Nobody waits longer for the cache: what it knows can be done without, or refused.
const PATIENCE: Duration = Duration::from_millis(500);

/// The cache is away or too slow.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or refuses the command.
    #[error("cache: {0}")]
    Redis(#[from] RedisError),
    /// It did not answer in time.
    #[error("cache: no answer within {} ms", PATIENCE.as_millis())]
    TimedOut,
}

/// The cache. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct Cache {
    client: redis::cluster::ClusterClient,
    connection: Arc<OnceCell<ClusterConnection>>,
    prefix: Arc<str>,
}

impl Cache {
    /// Prepares the client, without connecting.
    pub fn new(config: &CacheConfig) -> Result<Self, ConfigError> {
        let client = ClusterClientBuilder::new([config.url.expose_secret()])
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .retries(1)
            .build()
            .map_err(|error| {
                ConfigError::new("CACHE_URL", format!("cannot be used: {}", error.category()))
            })?;
        Ok(Self { client, connection: Arc::default(), prefix: config.prefix.as_str().into() })
    }

    /// Opens the connection if none is open, so that the next request finds one.
    pub async fn warm(&self) -> Result<(), Error> {
        self.connection().await.map(drop)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Runs a script: one round trip, but for the first time that a server sees it.
    pub(crate) async fn run<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        let run = async {
            let mut connection = self.connection().await?;
            Ok(script.invoke_async(&mut connection).await?)
        };
        tokio::time::timeout(PATIENCE, run).await.unwrap_or(Err(Error::TimedOut))
    }

    async fn connection(&self) -> Result<ClusterConnection, Error> {
        let connection =
            self.connection.get_or_try_init(|| self.client.get_async_connection()).await?;
        Ok(connection.clone())
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
