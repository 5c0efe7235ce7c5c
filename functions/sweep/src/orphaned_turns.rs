//! Closes orphaned turns, whose process is gone, with the text in their live logs. A turn without text is
//! released, so it is free.

use std::time::Duration;

use jiff::Timestamp;
use shared_cache::{Batch, Cache, CacheError, LogContents, LogState};
use shared_core::credits::ORPHANED_AFTER;
use shared_http::{answer_of_frames, interrupted};
use shared_postgres::OrphanedTurn;

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

/// A live log is kept for an hour after its last frame. Until then it may be readable once the cache is back.
const LOG_IS_GONE_AFTER: Duration = Duration::from_mins(70);

/// Each run retries. A turn that is open for so long cannot be closed.
const ALARM_AFTER: Duration = Duration::from_mins(10);

pub(crate) async fn close(run: &mut Run<'_>) -> Result<(), WorkError> {
    let (mut after, mut stuck) = (None, 0);
    let mut state = RunState { logs: Some(run.deps.cache.clone()), failure: None };
    loop {
        let now = run.deps.clock.now();
        let orphaned_before = now - ORPHANED_AFTER;
        let page = run.deps.jobs.orphaned_turns(orphaned_before, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
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

/// Why turns stay open.
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
    let said = match state.log_snapshot(turn).await {
        LogSnapshot::NotYet => return Ok(false),
        LogSnapshot::Were(said) => said,
        LogSnapshot::Unknown if age > LOG_IS_GONE_AFTER => LogContents::default(),
        LogSnapshot::Unknown => return Ok(true),
    };
    let answer = answer_of_frames(&said.frames, said.generation.as_deref());
    match run.deps.jobs.interrupt(turn, &answer, now).await {
        Ok(is_closed) => {
            run.report.add(CLOSED, u64::from(is_closed));
            run.report.add(KEPT, u64::from(is_closed && !answer.is_empty()));
            if is_closed {
                state.end_log(turn, &said).await;
            }
            Ok(false)
        }
        // Does not block the closing of turns that began later.
        Err(error) if run.is_postgres_there().await => {
            tracing::error!(answer = %turn.answer, %error, "an orphaned turn cannot be closed");
            state.failure = Some(error.into());
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

enum LogSnapshot {
    /// The turn is still running.
    NotYet,
    Were(LogContents),
    Unknown,
}

impl RunState {
    async fn log_snapshot(&mut self, turn: &OrphanedTurn) -> LogSnapshot {
        let Some(logs) = &self.logs else { return LogSnapshot::Unknown };
        log_snapshot(logs, turn).await.unwrap_or_else(|error| {
            self.logs = None;
            self.failure = Some(error.into());
            LogSnapshot::Unknown
        })
    }

    /// Ends the live log with a frame that tells its readers of the interruption.
    async fn end_log(&self, turn: &OrphanedTurn, said: &LogContents) {
        let Some(logs) = &self.logs else { return };
        let (number, end) = (said.last + 1, interrupted(said.last + 1));
        let end = Batch { first: number, last: number, frames: &*end };
        if let Err(error) = logs.live_log(turn.user, &turn.answer).end(Some(end)).await {
            tracing::warn!(answer = %turn.answer, %error, "a live log could not be ended");
        }
    }
}

async fn log_snapshot(cache: &Cache, turn: &OrphanedTurn) -> Result<LogSnapshot, CacheError> {
    let log = cache.live_log(turn.user, &turn.answer);
    match log.read(u64::MAX).await?.state {
        LogState::Running => Ok(LogSnapshot::NotYet),
        // A turn whose log has ended could not be stored, not even in the inbox.
        LogState::Ended | LogState::Orphaned | LogState::Absent => {
            Ok(LogSnapshot::Were(log.read_all().await?))
        }
    }
}
