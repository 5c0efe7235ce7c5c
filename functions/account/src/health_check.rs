//! How the systems are.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared_cache::{Cache, Serverless};
use shared_core::clock::Clock;
use shared_postgres::Database;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// How long a report is passed on before the systems are asked again: anybody may ask here, and the
/// control plane takes few questions.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(5);

/// How long a system has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the product can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Readiness {
    /// All of it.
    Ready,
    /// Who is logged in can go on; logging in cannot.
    Degraded,
    /// None of it.
    Unavailable,
}

/// Whether a system answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reachable {
    /// It does.
    Up,
    /// It does not; the log says why.
    Down,
}

/// How the systems are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Report {
    /// What follows from the rest.
    status: Readiness,
    /// The database.
    postgres: Reachable,
    /// The cache.
    cache: CacheReport,
}

impl Report {
    pub(crate) fn status(&self) -> Readiness {
        self.status
    }
}

/// How the cache is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CacheReport {
    /// Whether it answers.
    reachable: Reachable,
    /// What AWS says of it, where it is one of AWS's and AWS answers.
    aws: Option<AwsReport>,
}

/// What `DescribeServerlessCaches` says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AwsReport {
    /// `creating`, `available`, `modifying`, `deleting` or `create-failed`.
    status: String,
    /// `host:port`, once it has one.
    endpoint: Option<String>,
    /// Engine and version.
    engine: Option<String>,
}

/// Asks the systems how they are, and remembers it for a moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    database: Database,
    cache: Cache,
    serverless: Option<Serverless>,
    clock: Clock,
    last: Arc<Mutex<Option<(Timestamp, Report)>>>,
}

impl HealthCheck {
    /// Of these systems; `serverless` is the cache as AWS knows it.
    pub fn new(
        database: Database,
        cache: Cache,
        serverless: Option<Serverless>,
        clock: Clock,
    ) -> Self {
        Self { database, cache, serverless, clock, last: Arc::default() }
    }

    /// How the systems are, or were a moment ago.
    pub(crate) async fn report(&self) -> Report {
        // Those who come while the systems are being asked wait here, and get the same answer.
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

    async fn ask(&self) -> Report {
        let (postgres, cache, aws) =
            tokio::join!(within(self.database.ping()), within(self.cache.ping()), self.ask_aws());
        let postgres = reachable("postgres", postgres);
        let cache = reachable("the cache", cache);
        let status = match (postgres, cache) {
            (Reachable::Up, Reachable::Up) => Readiness::Ready,
            (Reachable::Up, Reachable::Down) => Readiness::Degraded,
            (Reachable::Down, _) => Readiness::Unavailable,
        };
        Report { status, postgres, cache: CacheReport { reachable: cache, aws } }
    }

    async fn ask_aws(&self) -> Option<AwsReport> {
        match within(self.serverless.as_ref()?.describe()).await {
            Ok(state) => Some(AwsReport {
                status: state.status,
                endpoint: state.endpoint,
                engine: state.engine,
            }),
            Err(error) => {
                tracing::warn!(%error, "AWS does not say how the cache is");
                None
            }
        }
    }
}

/// Why a system does not answer.
#[derive(Debug, thiserror::Error)]
enum Silent<E> {
    #[error(transparent)]
    Failed(#[from] E),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// Who asks whether it is well wants to know it now; longer patience is for those who want something.
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
