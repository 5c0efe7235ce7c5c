//! The `sweep` function: background work. A schedule runs it, and an operator may too:
//!
//! ```text
//! aws lambda invoke --function-name chat-sweep /dev/stdout
//! ```
//!
//! Each kind of work is a file, and a line in [`sweep`]. All of it is idempotent: runs may race or be killed
//! anywhere, because each step is one statement that changes a row only if it still is what was read
//! (compare-and-set), and what was not reached is left to the next run.
//!
//! The inbox comes first: who has paid waits for it, and it has the true ends of turns, whose live logs may hold only the
//! beginning.

mod deliveries;
mod finished_turns;
mod inbox;
mod key_rotation;
mod missing_usage;
mod order_checks;
mod orphaned_turns;
mod provider;
mod report;
mod uploads;

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use shared_cache::Cache;
use shared_cashfree::{Cashfree, CashfreeError};
use shared_core::clock::Clock;
use shared_core::error_chain;
use shared_core::random::Entropy;
use shared_core::store::StoreError;
use shared_files::{Files, FilesError};
use shared_inbox::Inbox;
use shared_openrouter::{LookupError, OpenRouter};
use shared_postgres::{Jobs, Payments};
use shared_vault::{Vault, VaultError};

pub use report::SweepReport;

/// Part of an invocation's time that is reserved for the last step: a look-up and a statement, with their retries.
const LAST_STEP: Duration = Duration::from_secs(20);

/// Dependencies of this function.
#[derive(Debug)]
pub struct Deps {
    /// The database, for jobs.
    pub jobs: Jobs,
    /// Decrypts and encrypts the users' own keys (BYOK).
    pub vault: Vault,
    /// Live logs of orphaned turns.
    pub cache: Cache,
    /// Turns and deliveries that could not be stored in Postgres.
    pub inbox: Inbox,
    /// Users' files.
    pub files: Files,
    /// The payment provider; `None` where nothing is sold.
    pub cashfree: Option<Cashfree>,
    /// Looks up the usage of turns.
    pub openrouter: OpenRouter,
    /// Clock for timestamps and the run's deadline.
    pub clock: Clock,
    /// Generates ids.
    pub entropy: Entropy,
}

/// Some kinds of work failed; the others succeeded.
#[derive(Debug, thiserror::Error)]
#[error("{}", failures.join("; "))]
pub struct SweepError {
    /// Report of the work that succeeded.
    pub report: SweepReport,
    failures: Vec<String>,
}

/// Why a kind of work failed.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Database(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Cache(#[from] shared_cache::CacheError),
    #[error(transparent)]
    Inbox(#[from] shared_inbox::InboxError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{}", error_chain(.0))]
    OpenRouter(#[from] LookupError),
    #[error("{}", error_chain(.0))]
    Cashfree(#[from] CashfreeError),
}

/// Handles one event, whatever its content, within the invocation's time.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<Value>,
) -> Result<SweepReport, lambda_runtime::Error> {
    let now = u64::try_from(deps.clock.now().as_millisecond()).unwrap_or_default();
    let left = Duration::from_millis(event.context.deadline.saturating_sub(now));
    let result = sweep(deps, left.saturating_sub(LAST_STEP)).await;
    let report = match &result {
        Ok(report) => report,
        Err(error) => &error.report,
    };
    report.log();
    report.measure(deps.clock.now());
    // As text: the runtime logs any other error as its fields.
    result.map_err(|error| error.to_string().into())
}

/// Does each kind of work, even if another has failed. Begins nothing new after `time`.
pub async fn sweep(deps: &Deps, time: Duration) -> Result<SweepReport, SweepError> {
    let report = SweepReport::new([
        deliveries::COUNTERS.as_slice(),
        &finished_turns::COUNTERS,
        &orphaned_turns::COUNTERS,
        &missing_usage::COUNTERS,
        &key_rotation::COUNTERS,
        &order_checks::COUNTERS,
        &uploads::COUNTERS,
        &provider::COUNTERS,
    ]);
    let mut run = Run { deps, began: deps.clock.now(), time, report };
    // Boxed: unboxed, their nesting exceeds the compiler's recursion limit.
    let results = [
        ("deliveries", Box::pin(deliveries::process(&mut run)).await),
        ("inbox", Box::pin(finished_turns::store(&mut run)).await),
        ("orphaned turns", Box::pin(orphaned_turns::close(&mut run)).await),
        ("missing usage", Box::pin(missing_usage::backfill(&mut run)).await),
        ("key rotation", Box::pin(key_rotation::rotate_keys(&mut run)).await),
        ("orders", Box::pin(order_checks::check(&mut run)).await),
        ("uploads", Box::pin(uploads::remove(&mut run)).await),
        // The next kind of work goes here.
    ];
    let Run { began, mut report, .. } = run;
    report.duration_ms = deps.clock.now().as_millisecond() - began.as_millisecond();

    let failed = |(work, result): (&str, Result<(), WorkError>)| {
        result.err().map(|failure| format!("{work}: {failure}"))
    };
    let failures: Vec<_> = results.into_iter().filter_map(failed).collect();
    if failures.is_empty() { Ok(report) } else { Err(SweepError { report, failures }) }
}

/// State of a run, passed from one kind of work to the next.
struct Run<'a> {
    deps: &'a Deps,
    began: Timestamp,
    time: Duration,
    /// Updated as work is done, so that a failure hides nothing that came before it.
    report: SweepReport,
}

impl Run<'_> {
    /// Whether the deadline has passed, so that the rest is left to the next run; noted in the report.
    fn is_out_of_time(&mut self) -> bool {
        let taken = self.deps.clock.now().duration_since(self.began);
        let is_over = taken.unsigned_abs() >= self.time;
        self.report.out_of_time |= is_over;
        is_over
    }

    /// Records payments, with the rights of jobs.
    fn payments(&self) -> Payments {
        self.deps.jobs.payments()
    }

    /// Whether Postgres can be reached: then the fault is in the statement that it has just rejected.
    async fn can_reach_postgres(&self) -> bool {
        self.deps.jobs.ping().await.is_ok()
    }
}
