//! Readiness of Postgres and the cache.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared_cache::{Cache, Serverless};
use shared_core::clock::Clock;
use shared_postgres::Database;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// How long a report is cached: the route is public, and the rate limit of AWS's control plane is low.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(5);

/// Timeout of one check.
const PATIENCE: Duration = Duration::from_secs(2);

/// Readiness of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Readiness {
    /// All of it works.
    Ready,
    /// The cache is unavailable: logged-in users can go on, but logging in fails.
    Degraded,
    /// Postgres is unavailable: nothing works.
    Unavailable,
}

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reachable {
    /// It answers.
    Up,
    /// It failed or timed out; the log has the error.
    Down,
}

/// Readiness, and the results of the checks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HealthReport {
    /// Derived from the checks.
    status: Readiness,
    /// The database.
    postgres: Reachable,
    /// The cache.
    cache: CacheReport,
}

impl HealthReport {
    pub(crate) fn status(&self) -> Readiness {
        self.status
    }
}

/// State of the cache.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CacheReport {
    /// Whether it answers.
    reachable: Reachable,
    /// Its state according to AWS; null if it is not run by AWS or AWS does not answer.
    aws: Option<AwsReport>,
}

/// State according to `DescribeServerlessCaches`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AwsReport {
    /// `creating`, `available`, `modifying`, `deleting` or `create-failed`.
    status: String,
    /// `host:port`, once it has one.
    endpoint: Option<String>,
    /// Engine and version.
    engine: Option<String>,
}

/// Checks the backends, and caches the report for five seconds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    database: Database,
    cache: Cache,
    serverless: Option<Serverless>,
    clock: Clock,
    last: Arc<Mutex<Option<(Timestamp, HealthReport)>>>,
}

impl HealthCheck {
    /// Checks these backends; `serverless` reads the cache's state from AWS.
    pub fn new(
        database: Database,
        cache: Cache,
        serverless: Option<Serverless>,
        clock: Clock,
    ) -> Self {
        Self { database, cache, serverless, clock, last: Arc::default() }
    }

    /// Returns a report that is less than [`FRESH_FOR`] old.
    pub(crate) async fn report(&self) -> HealthReport {
        // Single flight: concurrent requests wait here, and share one report.
        let mut last = self.last.lock().await;
        if let Some((at, report)) = &*last
            && self.clock.now().duration_since(*at) < FRESH_FOR
        {
            return report.clone();
        }
        let report = self.ask().await;
        *last = Some((self.clock.now(), report.clone()));
        report
    }

    async fn ask(&self) -> HealthReport {
        let (postgres, cache, aws) =
            tokio::join!(within(self.database.ping()), within(self.cache.ping()), self.ask_aws());
        let postgres = reachable("postgres", postgres);
        let cache = reachable("the cache", cache);
        let status = match (postgres, cache) {
            (Reachable::Up, Reachable::Up) => Readiness::Ready,
            (Reachable::Up, Reachable::Down) => Readiness::Degraded,
            (Reachable::Down, _) => Readiness::Unavailable,
        };
        HealthReport { status, postgres, cache: CacheReport { reachable: cache, aws } }
    }

    async fn ask_aws(&self) -> Option<AwsReport> {
        match within(self.serverless.as_ref()?.describe()).await {
            Ok(state) => Some(AwsReport {
                status: state.status,
                endpoint: state.endpoint,
                engine: state.engine,
            }),
            Err(error) => {
                tracing::warn!(%error, "the cache's state cannot be read from AWS");
                None
            }
        }
    }
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
enum Silent<E> {
    #[error(transparent)]
    Failed(#[from] E),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// Limits a check to [`PATIENCE`]: a monitor needs its answer now; longer timeouts are for real work.
async fn within<T, E>(answer: impl Future<Output = Result<T, E>>) -> Result<T, Silent<E>> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Silent::TimedOut),
    }
}

fn reachable<E: std::fmt::Display>(system: &str, answer: Result<(), E>) -> Reachable {
    match answer {
        Ok(()) => Reachable::Up,
        Err(error) => {
            tracing::warn!(%error, "{system} does not answer");
            Reachable::Down
        }
    }
}
