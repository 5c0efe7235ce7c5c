//! Closes orphaned turns, whose process is gone, with the text in their live logs. A turn without text is
//! released, so it is free.

use std::time::Duration;

use jiff::Timestamp;
use shared_cache::{Cache, LiveLog, LogState};
use shared_core::chat::{Answer, ORPHANED_AFTER};
use shared_core::store::StoreError;
use shared_postgres::OrphanedTurn;
use shared_turns::{CloseError, ClosedTurn, close_orphaned};

use crate::report::Counter;
use crate::{Run, WorkError};

/// Orphaned turns that were closed.
const CLOSED: Counter = Counter::of_work("orphanedTurnsClosed").with_metric("TurnsOrphaned");
/// Of these, turns whose text is kept; the others are free.
const KEPT: Counter = Counter::of_work("answersKept");
/// Orphaned turns that stay open because they cannot be closed.
const STUCK: Counter = Counter::of_state("orphanedTurnsStuck").with_metric("OrphanedTurnsStuck");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 3] = [CLOSED, KEPT, STUCK];

const PAGE: usize = 100;

/// After this, a live log has expired, and the turn is closed without text. Before, the cache may come back with it.
const LOG_IS_GONE_AFTER: Duration = Duration::from_mins(70);

/// A turn that is open for so long, although each run retries, raises the alarm.
const ALARM_AFTER: Duration = Duration::from_mins(10);

pub(crate) async fn close(run: &mut Run<'_>) -> Result<(), WorkError> {
    let (mut after, mut stuck) = (None, 0);
    let mut state = RunState { logs: Some(run.deps.cache.clone()), failure: None };
    loop {
        let now = run.deps.clock.now();
        let orphaned_before = now - ORPHANED_AFTER;
        let page = run.deps.jobs.orphaned_turns(orphaned_before, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            run.deps.jobs.note_orphan_sweep(orphaned_before).await?;
            break;
        };
        after = Some(last.cursor());
        for turn in &page {
            if run.is_out_of_time() {
                return state.failure.map_or(Ok(()), Err);
            }
            let age = now.duration_since(turn.began_at).unsigned_abs();
            let is_open = close_one(run, turn, now, age, &mut state).await?;
            stuck += u64::from(is_open && age > ALARM_AFTER);
        }
    }
    run.report.set(STUCK, stuck);
    state.failure.map_or(Ok(()), Err)
}

/// State shared by the turns of one run.
struct RunState {
    /// The live logs; `None` once the cache has failed: an unavailable one is slow to fail, so no retry.
    logs: Option<Cache>,
    /// Why the last one of them could not be closed.
    failure: Option<WorkError>,
}

/// Returns whether the turn is still open, although it should be closed.
async fn close_one(
    run: &mut Run<'_>,
    turn: &OrphanedTurn,
    now: Timestamp,
    age: Duration,
    state: &mut RunState,
) -> Result<bool, WorkError> {
    let jobs = &run.deps.jobs;
    let interrupt = async |answer: &Answer| jobs.interrupt(turn, answer, now).await;
    let closed = match state.close_from_log(turn, interrupt).await {
        Ok(LogResult::Running) => return Ok(false),
        Ok(LogResult::Closed(closed)) => Ok(closed),
        Ok(LogResult::Unavailable) if age > LOG_IS_GONE_AFTER => close_empty(interrupt).await,
        Ok(LogResult::Unavailable) => return Ok(true),
        Err(error) => Err(error),
    };
    match closed {
        Ok(closed) => {
            run.report.add(CLOSED, u64::from(closed.is_some()));
            let has_text = closed.is_some_and(|closed| !closed.answer.is_empty());
            run.report.add(KEPT, u64::from(has_text));
            Ok(false)
        }
        // Does not block the closing of turns that began later.
        Err(error) if run.can_reach_postgres().await => {
            tracing::error!(answer = %turn.answer, %error, "an orphaned turn cannot be closed");
            state.failure = Some(error.into());
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// What became of a turn by its live log.
enum LogResult {
    /// The turn is still running.
    Running,
    /// Closed, unless another process was faster.
    Closed(Option<ClosedTurn>),
    /// The cache is unavailable.
    Unavailable,
}

impl RunState {
    async fn close_from_log(
        &mut self,
        turn: &OrphanedTurn,
        interrupt: impl AsyncFnOnce(&Answer) -> Result<bool, StoreError>,
    ) -> Result<LogResult, StoreError> {
        let Some(logs) = &self.logs else { return Ok(LogResult::Unavailable) };
        let log = logs.live_log(turn.user, &turn.answer);
        match close_unless_running(&log, interrupt).await {
            Ok(result) => Ok(result),
            Err(CloseError::Store(error)) => Err(error),
            Err(CloseError::Cache(error)) => {
                self.logs = None;
                self.failure = Some(error.into());
                Ok(LogResult::Unavailable)
            }
        }
    }
}

async fn close_unless_running(
    log: &LiveLog,
    interrupt: impl AsyncFnOnce(&Answer) -> Result<bool, StoreError>,
) -> Result<LogResult, CloseError> {
    match log.state().await? {
        LogState::Running => Ok(LogResult::Running),
        // A turn whose log has ended could not be stored, not even in the inbox.
        LogState::Ended | LogState::Orphaned | LogState::Absent => {
            Ok(LogResult::Closed(close_orphaned(log, interrupt).await?))
        }
    }
}

/// Closes a turn whose log has expired.
async fn close_empty(
    interrupt: impl AsyncFnOnce(&Answer) -> Result<bool, StoreError>,
) -> Result<Option<ClosedTurn>, StoreError> {
    let answer = Answer::default();
    let is_closed = interrupt(&answer).await?;
    Ok(is_closed.then_some(ClosedTurn { answer, had_ended: false }))
}
