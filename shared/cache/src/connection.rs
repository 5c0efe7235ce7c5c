//! One multiplexed connection per process, made when first needed and mended by the driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{ErrorKind, RedisError, Script, ScriptInvocation};
use secrecy::ExposeSecret;
use shared_core::clock::Clock;
use shared_core::env::ConfigError;
use tokio::sync::OnceCell;

use crate::CacheConfig;
use crate::serverless::Identity;

/// Nobody waits longer for the cache: what it knows can be done without, or refused.
const PATIENCE: Duration = Duration::from_millis(500);

/// The cache is away or too slow.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be reached, or refuses the command.
    #[error("cache: {0}")]
    Redis(#[from] RedisError),
    /// It did not answer in time.
    #[error("cache: no answer within {} ms", PATIENCE.as_millis())]
    TimedOut,
}

impl CacheError {
    /// Whether all connections were found dead: their server went away, or the environment slept too
    /// long.
    fn is_dead_connection(&self) -> bool {
        match self {
            Self::Redis(error) => error.kind() == ErrorKind::ClusterConnectionNotFound,
            Self::TimedOut => false,
        }
    }
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
    /// Prepares the client, without connecting. The clock dates IAM tokens.
    pub fn new(config: &CacheConfig, clock: Clock) -> Result<Self, ConfigError> {
        let url = config.url.as_ref().ok_or_else(|| ConfigError::new("CACHE_URL", "is not set"))?;
        let mut builder = ClusterClientBuilder::new([url.expose_secret()]);
        if let (Some(cache), Some(user)) = (&config.serverless, &config.user) {
            let identity = Identity { cache: cache.clone(), user: user.clone(), clock };
            builder = builder.set_credentials_provider(identity);
        }
        let client = builder
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
    pub async fn warm(self) -> Result<(), CacheError> {
        let shared = self.shared().clone();
        Ok(self.connected(&shared).await.map(drop)?)
    }

    /// Whether the cache answers.
    pub async fn ping(&self) -> Result<(), CacheError> {
        self.run(&Script::new("return 1").prepare_invoke()).await
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Runs a script: one round trip, but for the first time that a server sees it.
    #[tracing::instrument(
        target = "otel", name = "script", skip_all, fields(otel.kind = "client", db.system.name = "valkey")
    )]
    pub(crate) async fn run<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        self.run_often(script).await
    }

    /// Runs a script that a turn runs many times a second: a trace does not show it, and would have room
    /// for nothing else.
    pub(crate) async fn run_often<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        match self.run_once(script).await {
            // Rarely one died after it had been heard, and a limit counts twice, or a code is used up;
            // without this, every first request after a sleep fails.
            Err(error) if error.is_dead_connection() => {
                tracing::info!(%error, "the connection to the cache was dead, connecting again");
                self.run_once(script).await
            }
            result => result,
        }
    }

    async fn run_once<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        let shared = self.shared().clone();
        let run = async {
            let mut connection = self.connected(&shared).await?;
            Ok(script.invoke_async(&mut connection).await?)
        };
        let result = tokio::time::timeout(PATIENCE, run).await.unwrap_or(Err(CacheError::TimedOut));
        // The driver would go on asking a peer that is silent; the next one asks anew.
        let is_lost = |error: &CacheError| {
            matches!(error, CacheError::TimedOut) || error.is_dead_connection()
        };
        if result.as_ref().is_err_and(is_lost) {
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
