//! Turns whose process is gone. Whoever comes upon one closes it: who resumes it, stops it, or asks the
//! next question. Those that nobody comes upon are left to `sweep`.

use jiff::Timestamp;
use shared_cache::{Batch, Error as CacheError, LiveLog, LogState};
use shared_core::credits::TURN_DIES_AFTER;
use shared_core::ids::UserId;
use shared_http::{DONE, Metric, answer_of_frames, interrupted};
use shared_postgres::{Error as DatabaseError, KnownTurn};
use tokio::time::{Duration, sleep};

use crate::Deps;

/// A cache that was restarted has forgotten who is alive, until they say so again.
pub(crate) const FORGIVEN: Duration = Duration::from_secs(1);

/// Why a dead turn could not be looked at, or closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unclosed {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Whether nobody is known to be alive who runs `turn`, as its log has just said.
pub(crate) fn seems_dead(turn: &KnownTurn, state: LogState, now: Timestamp) -> bool {
    match state {
        LogState::Running | LogState::Ended => false,
        LogState::Silent => true,
        // It has not begun its log yet, or cannot reach the cache, or knows of no logs: only time tells.
        LogState::Absent => now - TURN_DIES_AFTER > turn.began_at,
    }
}

/// Closes `turn` if nobody runs it any more; answers whether it was so. That goes for a turn that has ended
/// and could not be stored, too: its log is whole, and what the inbox holds of it comes on top of that.
pub(crate) async fn closed(deps: &Deps, user: UserId, turn: &KnownTurn) -> Result<bool, Unclosed> {
    let log = deps.cache.live_log(&turn.answer);
    for is_last_look in [false, true] {
        let state = log.read(u64::MAX).await?.state;
        let has_ended = state == LogState::Ended;
        if !has_ended && !seems_dead(turn, state, deps.edge.clock().now()) {
            return Ok(false);
        }
        if !is_last_look {
            sleep(FORGIVEN).await;
        }
    }
    close(deps, user, turn, &log).await?;
    Ok(true)
}

/// Closes a turn that is dead, with what it had said; answers whether it was open still.
pub(crate) async fn close(
    deps: &Deps,
    user: UserId,
    turn: &KnownTurn,
    log: &LiveLog,
) -> Result<bool, Unclosed> {
    let said = log.whole().await?;
    let answer = answer_of_frames(&said.frames, said.generation.as_deref());
    let now = deps.edge.clock().now();
    let is_closed = deps.database.interrupt_turn(user, &turn.answer, &answer, now).await?;
    if !is_closed {
        return Ok(false);
    }
    if said.frames.ends_with(DONE.as_bytes()) {
        tracing::warn!(answer = %turn.answer, "what could not be stored is taken from the live log");
    } else {
        tracing::warn!(answer = %turn.answer, "a turn had died, and is closed with what it had said");
        deps.edge.measure(&[Metric::one("TurnsDied")], &[]);
        // Whoever comes next is told the same.
        let (number, end) = (said.last + 1, interrupted(said.last + 1));
        log.end(Some(Batch { first: number, last: number, frames: &end })).await?;
    }
    Ok(true)
}
