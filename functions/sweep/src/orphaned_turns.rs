//! Turns that died with whoever ran them are closed with what they had said, as their live logs have it.
//! One that had said nothing is free.

use std::time::Duration;

use jiff::Timestamp;
use shared_cache::{Batch, Cache, CacheError, LogContents, LogState};
use shared_core::credits::ORPHANED_AFTER;
use shared_http::{answer_of_frames, interrupted};
use shared_postgres::OrphanedTurn;

use crate::{Run, WorkError};

const PAGE: usize = 100;

/// A log is kept for an hour after its last word. Until then it may be read yet, once the cache is back.
const LOG_IS_GONE_AFTER: Duration = Duration::from_mins(70);

/// Each run tries. One that is open for so long cannot be closed.
const ALARM_AFTER: Duration = Duration::from_mins(10);

pub(crate) async fn close(run: &mut Run<'_>) -> Result<(), WorkError> {
    let (mut after, mut stale) = (None, 0);
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
            stale += u64::from(is_open && age > ALARM_AFTER);
        }
    }
    run.swept.orphaned_turns_stuck = Some(stale);
    state.failure.map_or(Ok(()), Err)
}

/// What keeps turns open.
struct RunState {
    /// Where the live logs are. A cache that is away takes its time to say so, and is not asked again.
    logs: Option<Cache>,
    /// Why the last one of them is open still.
    failure: Option<WorkError>,
}

/// Answers whether it is open still, and should not be.
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
            run.swept.orphaned_turns_closed += u64::from(is_closed);
            run.swept.answers_kept += u64::from(is_closed && !answer.is_empty());
            if is_closed {
                state.end_log(turn, &said).await;
            }
            Ok(false)
        }
        // It keeps nobody from closing those that began later.
        Err(error) if run.is_postgres_there().await => {
            tracing::error!(answer = %turn.answer, %error, "a turn that died cannot be closed");
            state.failure = Some(error.into());
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

enum LogSnapshot {
    /// Somebody runs it still.
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

    /// Whoever follows the turn is told that it broke off.
    async fn end_log(&self, turn: &OrphanedTurn, said: &LogContents) {
        let Some(logs) = &self.logs else { return };
        let (number, end) = (said.last + 1, interrupted(said.last + 1));
        let end = Batch { first: number, last: number, frames: &*end };
        if let Err(error) = logs.live_log(turn.user, &turn.answer).end(Some(end)).await {
            tracing::warn!(answer = %turn.answer, %error, "a live log has no end");
        }
    }
}

async fn log_snapshot(cache: &Cache, turn: &OrphanedTurn) -> Result<LogSnapshot, CacheError> {
    let log = cache.live_log(turn.user, &turn.answer);
    match log.read(u64::MAX).await?.state {
        LogState::Running => Ok(LogSnapshot::NotYet),
        // One that has ended could not be stored, not even in the inbox.
        LogState::Ended | LogState::Orphaned | LogState::Absent => {
            Ok(LogSnapshot::Were(log.read_all().await?))
        }
    }
}
