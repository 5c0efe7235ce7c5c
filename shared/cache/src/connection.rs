//! One multiplexed connection per process, made when first needed and mended by the driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
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

/// The connection of all who are waiting for it.
type Shared = Arc<OnceCell<ClusterConnection>>;

/// The cache. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct Cache {
    client: redis::cluster::ClusterClient,
    connection: Arc<Mutex<Shared>>,
    prefix: Arc<str>,
}

impl Cache {
    /// Prepares the client, without connecting.
    pub fn new(config: &CacheConfig) -> Result<Self, ConfigError> {
        let client = ClusterClientBuilder::new([config.url.expose_secret()])
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .retries(1)
            // A peer that vanished without a word acknowledges nothing.
            .tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(PATIENCE * 2))
            .build()
            .map_err(|error| {
                ConfigError::new("CACHE_URL", format!("cannot be used: {}", error.category()))
            })?;
        Ok(Self { client, connection: Arc::default(), prefix: config.prefix.as_str().into() })
    }

    /// Opens the connection if none is open, so that the next request finds one.
    pub async fn warm(&self) -> Result<(), Error> {
        let shared = self.shared().clone();
        Ok(self.connected(&shared).await.map(drop)?)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Runs a script: one round trip, but for the first time that a server sees it.
    pub(crate) async fn run<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        let shared = self.shared().clone();
        let run = async {
            let mut connection = self.connected(&shared).await?;
            Ok(script.invoke_async(&mut connection).await?)
        };
        let result = tokio::time::timeout(PATIENCE, run).await.unwrap_or(Err(Error::TimedOut));
        if matches!(result, Err(Error::TimedOut)) {
            // The driver would go on asking a peer that is silent; the next one asks anew.
            let mut current = self.shared();
            if Arc::ptr_eq(&current, &shared) {
                *current = Shared::default();
            }
        }
        result
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connected(&self, shared: &Shared) -> Result<ClusterConnection, RedisError> {
        shared.get_or_try_init(|| self.client.get_async_connection()).await.cloned()
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
