//! One multiplexed connection per process, opened on first use and reconnected by the driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{Cmd, ErrorKind, RedisError, Script, ScriptInvocation};
use secrecy::ExposeSecret;
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use tokio::sync::OnceCell;

use crate::CacheConfig;
use crate::serverless::Identity;

/// Timeout of a call: a request can go on without the cache, or be refused.
const PATIENCE: Duration = Duration::from_millis(500);

/// The cache is unreachable or too slow.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The cache cannot be reached, or refuses the command.
    #[error("cache: {0}")]
    Redis(#[from] RedisError),
    /// The cache did not answer in time.
    #[error("cache: no answer within {} ms", PATIENCE.as_millis())]
    TimedOut,
}

impl CacheError {
    /// Whether all connections were dead: the server went away, or the function instance was frozen
    /// too long.
    fn is_dead_connection(&self) -> bool {
        match self {
            Self::Redis(error) => error.kind() == ErrorKind::ClusterConnectionNotFound,
            Self::TimedOut => false,
        }
    }
}

/// The connection, shared by all callers that wait for it.
type Shared = Arc<OnceCell<ClusterConnection>>;

/// The cache's client. Cheap to clone; connects on first use.
#[derive(Clone)]
pub struct Cache {
    client: redis::cluster::ClusterClient,
    connection: Arc<Mutex<Shared>>,
    prefix: Arc<str>,
}

impl Cache {
    /// The cache that the variables of [`CacheConfig`] name, looked up at AWS if they give only its name. Does not
    /// connect.
    pub async fn from_env(env: &Env<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::new(&CacheConfig::from_env(env)?.located().await?, clock)
    }

    /// Creates the client, without connecting. The clock timestamps IAM tokens.
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
            // Detects a peer that vanished without closing: it acknowledges nothing.
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

    /// Runs a script: one round trip, except the first time that a server sees it.
    #[tracing::instrument(
        target = "otel", name = "script", skip_all, fields(otel.kind = "client", db.system.name = "valkey")
    )]
    pub(crate) async fn run<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        self.run_often(script).await
    }

    /// Runs a script that a turn runs many times a second, without a span: its spans would fill the
    /// trace.
    pub(crate) async fn run_often<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        self.call(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// Sends a command, as [`run_often`](Self::run_often) runs a script.
    pub(crate) async fn send_often<T: redis::FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, CacheError> {
        self.call(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    async fn call<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        call: impl Fn(ClusterConnection) -> F,
    ) -> Result<T, CacheError> {
        match self.call_once(&call).await {
            // Retry once: without it, every first request after a freeze fails. Rarely the script had run
            // before the connection broke; then a limit counts twice, or a code is used up.
            Err(error) if error.is_dead_connection() => {
                tracing::info!(%error, "the connection to the cache was dead, reconnecting");
                self.call_once(&call).await
            }
            result => result,
        }
    }

    async fn call_once<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        call: &impl Fn(ClusterConnection) -> F,
    ) -> Result<T, CacheError> {
        let shared = self.shared().clone();
        let run = async { Ok(call(self.connected(&shared).await?).await?) };
        let result = tokio::time::timeout(PATIENCE, run).await.unwrap_or(Err(CacheError::TimedOut));
        // The driver would keep using an unresponsive peer; the next call reconnects.
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
        // Boxed, so that a call on an open connection has no room for opening one.
        shared.get_or_try_init(|| Box::pin(self.client.get_async_connection())).await.cloned()
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
