//! The `sweep` function: work that no request does. A schedule runs it, and a person may too:
//!
//! ```text
//! aws lambda invoke --function-name chat-sweep /dev/stdout
//! ```
//!
//! Each kind of work is a file, and a line in [`sweep`]. None of it minds being run twice at once, or
//! being killed anywhere: each step is one statement that changes a row which still is what was read,
//! and what was not reached is there for the next run.
//!
//! What waits in the inbox comes first: it is how turns really ended, of which their logs hold only the
//! beginning.

mod inbox;
mod missing_usage;
mod orphaned_turns;
mod provider_keys;
mod report;

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use shared_cache::Cache;
use shared_core::clock::Clock;
use shared_core::error_chain;
use shared_core::random::Entropy;
use shared_inbox::Inbox;
use shared_openrouter::{LookupError, OpenRouter};
use shared_postgres::Jobs;
use shared_vault::{Vault, VaultError};

pub use report::SweepReport;

/// What is kept back of an invocation's time: as long as a statement may take that was just begun.
const LAST_STATEMENT: Duration = Duration::from_secs(20);

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    /// The database, for jobs.
    pub jobs: Jobs,
    /// Opens and seals the keys that people bring.
    pub vault: Vault,
    /// What turns said that have died.
    pub cache: Cache,
    /// Turns that Postgres has not taken.
    pub inbox: Inbox,
    /// Knows what turns took.
    pub openrouter: OpenRouter,
    /// Dates what is done, and ends a run in time.
    pub clock: Clock,
    /// Draws ids.
    pub entropy: Entropy,
}

/// Some kinds of work failed; the others were done.
#[derive(Debug, thiserror::Error)]
#[error("{}", failures.join("; "))]
pub struct SweepError {
    /// What was done nevertheless.
    pub swept: SweepReport,
    failures: Vec<String>,
}

/// Why a kind of work failed.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Database(#[from] shared_postgres::DatabaseError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Cache(#[from] shared_cache::CacheError),
    #[error(transparent)]
    Inbox(#[from] shared_inbox::InboxError),
    #[error("{}", error_chain(.0))]
    OpenRouter(#[from] LookupError),
}

/// Handles one event, whatever it says, within the invocation's time.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<Value>,
) -> Result<SweepReport, lambda_runtime::Error> {
    let now = u64::try_from(deps.clock.now().as_millisecond()).unwrap_or_default();
    let left = Duration::from_millis(event.context.deadline.saturating_sub(now));
    let result = sweep(deps, left.saturating_sub(LAST_STATEMENT)).await;
    let swept = match &result {
        Ok(swept) => swept,
        Err(error) => &error.swept,
    };
    swept.log();
    swept.measure(deps.clock.now());
    // The runtime logs it; as words, because it would log another error as its fields.
    result.map_err(|error| error.to_string().into())
}

/// Does each kind of work, also if another has failed. Begins nothing new after `time`.
pub async fn sweep(deps: &Deps, time: Duration) -> Result<SweepReport, SweepError> {
    let mut run = Run { deps, began: deps.clock.now(), time, swept: SweepReport::default() };
    // Boxed: side by side they are deeper than the compiler looks.
    let results = [
        ("inbox", Box::pin(inbox::drain(&mut run)).await),
        ("stale turns", Box::pin(orphaned_turns::close(&mut run)).await),
        ("missing_usage turns", Box::pin(missing_usage::ask(&mut run)).await),
        ("provider keys", Box::pin(provider_keys::rotate_keys(&mut run)).await),
        // The next kind of work goes here.
    ];
    let Run { began, mut swept, .. } = run;
    swept.duration_ms = deps.clock.now().as_millisecond() - began.as_millisecond();

    let failed = |(work, result): (&str, Result<(), WorkError>)| {
        result.err().map(|failure| format!("{work}: {failure}"))
    };
    let failures: Vec<_> = results.into_iter().filter_map(failed).collect();
    if failures.is_empty() { Ok(swept) } else { Err(SweepError { swept, failures }) }
}

/// A run, as each kind of work finds it and leaves it to the next.
struct Run<'a> {
    deps: &'a Deps,
    began: Timestamp,
    time: Duration,
    /// Written as things are done, so that a failure hides nothing that came before it.
    swept: SweepReport,
}

impl Run<'_> {
    /// Whether it is time to leave the rest to the next run, which the report then says.
    fn is_out_of_time(&mut self) -> bool {
        let taken = self.deps.clock.now().duration_since(self.began);
        let is_over = taken.unsigned_abs() >= self.time;
        self.swept.out_of_time |= is_over;
        is_over
    }

    /// Whether what Postgres has just refused says nothing about what comes next.
    async fn is_postgres_there(&self) -> bool {
        self.deps.jobs.ping().await.is_ok()
    }
}
