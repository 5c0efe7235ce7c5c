//! The connection pool, its timeouts, and the one retry after a dead connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};

use super::connector::Connector;
use shared_core::store::StoreError;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::DatabaseConfig;
use crate::error::DatabaseError;

/// Timeout for a connection, a pooled one or a new one.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Detects a peer that vanished silently (an expired NAT entry, a failed-over host): it acknowledges nothing, and the
/// kernel's own timeout is a quarter of an hour.
const UNACKNOWLEDGED_FOR: Duration = Duration::from_secs(3);
/// The timeouts abort on the server what no request waits for any more. Every statement here looks rows up by their
/// keys: one generic plan is enough, and planning each execution would cost more than running it.
const SESSION: &str = "-c statement_timeout=8000 -c transaction_timeout=8500 \
    -c idle_in_transaction_session_timeout=8000 -c plan_cache_mode=force_generic_plan -c jit=off";
/// A transaction that has not ended by then is lost with its server. Longer than the server's own timeouts, whose errors
/// say more, and after which nothing of it can be committed.
const TRANSACTION_WITHIN: Duration = Duration::from_secs(9);

/// The database. Cheap to clone; connects when first used.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    /// Whether the last turn that was to begin failed for another reason than a rule.
    is_failing: Arc<AtomicBool>,
}

impl Database {
    /// The database of the variables of [`DatabaseConfig`], as [`Database::new`] prepares it.
    pub fn from_env(env: &Env<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::new(&DatabaseConfig::from_env(env)?, clock)
    }

    /// Prepares the pool, without connecting. The clock dates IAM tokens.
    pub fn new(config: &DatabaseConfig, clock: Clock) -> Result<Self, ConfigError> {
        Self::as_role("app_user", config, clock)
    }

    /// Runs statements as `role`, whatever user the URL logs in as, so that row-level security applies: a superuser's
    /// URL must not switch it off.
    pub(crate) fn as_role(
        role: &str,
        config: &DatabaseConfig,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        let mut postgres = config.parsed()?;
        postgres
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(UNACKNOWLEDGED_FOR)
            .keepalives_idle(UNACKNOWLEDGED_FOR)
            .options(format!("-c role={role} {SESSION}"))
            .application_name("chat");
        // `Fast` checks only whether the socket is known to be closed: a test query would cost the hot path a round
        // trip, and `retrying` handles what it would find.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connector = Connector::new(config, &postgres, Some(clock))?;
        let manager = Manager::from_connect(postgres, connector, recycling);
        let within = Some(CONNECT_WITHIN);
        Pool::builder(manager)
            .max_size(config.pool_size)
            // The most recently used connection has prepared statements and warm caches.
            .queue_mode(QueueMode::Lifo)
            .timeouts(Timeouts { wait: within, create: within, recycle: within })
            .runtime(Runtime::Tokio1)
            .build()
            .map(|pool| Self { pool, is_failing: Arc::default() })
            .map_err(|error| ConfigError::new("DATABASE_POOL_SIZE", error))
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self
            .retrying(|client| async move { Ok(client.simple_query("").await.map(drop)?) })
            .await?)
    }

    /// Opens a connection if none is open, so that the next request finds one.
    pub async fn warm(self) -> Result<(), StoreError> {
        self.connection().await.map(drop)?;
        Ok(())
    }

    /// Runs one statement as a transaction of its own: one round trip.
    pub(crate) async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.retrying(|client| async move {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query(&statement, params).await?)
        })
        .await
    }

    pub(crate) async fn connection(&self) -> Result<Object, DatabaseError> {
        Ok(self.pool.get().await?)
    }

    /// Whether turns cannot begin at present, for another reason than a rule.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Notes whether a turn that was to begin failed for another reason than a rule.
    pub(crate) fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Ordering::Relaxed);
    }

    /// Whether requests wait for a connection.
    pub(crate) fn has_waiting_requests(&self) -> bool {
        self.pool.status().waiting > 0
    }

    /// Runs a transaction, and retries it once if its connection turns out to be dead.
    ///
    /// A connection dies silently while a Lambda environment is frozen or Postgres restarts; the first write detects
    /// it. All statements of a transaction leave in one write, so a dead connection means that none of them arrived,
    /// but for the rare case of a commit whose acknowledgement was lost. So `run` has to be idempotent, or undo the
    /// first attempt, as [`Request::begin_turn`] does.
    #[tracing::instrument(
        target = "otel", name = "transaction", skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub(crate) async fn retrying<T, F>(
        &self,
        mut run: impl FnMut(Object) -> F,
    ) -> Result<T, DatabaseError>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let mut run = async || {
            let connection = self.connection().await?;
            let Ok(result) = timeout(TRANSACTION_WITHIN, run(connection)).await else {
                // The connection's state is unknown: do not reuse it.
                self.forget_connections();
                return Err(DatabaseError::TimedOut);
            };
            result
        };
        match run().await {
            Err(error) if error.is_dead_connection() => {
                tracing::info!(%error, "a connection to postgres was dead, retrying on a new one");
                self.forget_connections();
                run().await
            }
            result => result,
        }
    }

    /// Drops all pooled connections: what made one of them fail has hit the others too.
    fn forget_connections(&self) {
        self.pool.retain(|_, _| false);
    }
}
