//! Turns whose process is gone. Whoever comes upon one closes it: who resumes it, stops it, or asks the
//! next question. Those that nobody comes upon are left to `sweep`.

use jiff::Timestamp;
use shared_cache::{Batch, CacheError, LiveLog, LogState};
use shared_core::credits::ORPHANED_AFTER;
use shared_core::ids::UserId;
use shared_http::{DONE, Metric, answer_of_frames, interrupted};
use shared_postgres::{DatabaseError, TurnRef};
use tokio::time::{Duration, sleep};

use crate::Deps;

/// A cache that was restarted has forgotten who is alive, until they say so again.
pub(crate) const GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Why a dead turn could not be looked at, or closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Whether nobody is known to be alive who runs `turn`, as its log has just said.
pub(crate) fn is_orphaned(turn: &TurnRef, state: LogState, now: Timestamp) -> bool {
    match state {
        LogState::Running | LogState::Ended => false,
        LogState::Orphaned => true,
        // It has not begun its log yet, or cannot reach the cache, or knows of no logs: only time tells.
        LogState::Absent => now - ORPHANED_AFTER > turn.began_at,
    }
}

/// Closes `turn` if nobody runs it any more; answers whether it was so. That goes for a turn that has ended
/// and could not be stored, too: its log is whole, and what the inbox holds of it comes on top of that.
pub(crate) async fn close_if_orphaned(
    deps: &Deps,
    user: UserId,
    turn: &TurnRef,
) -> Result<bool, CloseError> {
    let log = deps.cache.live_log(user, &turn.answer);
    for is_last_look in [false, true] {
        let state = log.read(u64::MAX).await?.state;
        let has_ended = state == LogState::Ended;
        if !has_ended && !is_orphaned(turn, state, deps.app.clock().now()) {
            return Ok(false);
        }
        if !is_last_look {
            sleep(GRACE_PERIOD).await;
        }
    }
    close_orphaned(deps, user, turn, &log).await?;
    Ok(true)
}

/// Closes a turn that is dead, with what it had said; answers whether it was open still.
pub(crate) async fn close_orphaned(
    deps: &Deps,
    user: UserId,
    turn: &TurnRef,
    log: &LiveLog,
) -> Result<bool, CloseError> {
    let said = log.read_all().await?;
    let answer = answer_of_frames(&said.frames, said.generation.as_deref());
    let now = deps.app.clock().now();
    let is_closed = deps.database.interrupt_turn(user, &turn.answer, &answer, now).await?;
    if !is_closed {
        return Ok(false);
    }
    if said.frames.ends_with(DONE.as_bytes()) {
        tracing::warn!(answer = %turn.answer, "what could not be stored is permit from the live log");
    } else {
        tracing::warn!(answer = %turn.answer, "a turn had died, and is closed with what it had said");
        deps.app.measure(&[Metric::one("TurnsOrphaned")], &[]);
        // Whoever comes next is told the same.
        let (number, end) = (said.last + 1, interrupted(said.last + 1));
        log.end(Some(Batch { first: number, last: number, frames: &end })).await?;
    }
    Ok(true)
}
