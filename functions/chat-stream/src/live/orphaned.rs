//! Orphaned turns: their process is gone. The next request that finds one (a resume, a stop, the next
//! question) closes it; `sweep` closes the rest.

use jiff::Timestamp;
use shared_cache::{LiveLog, LogState};
use shared_core::chat::{Answer, ORPHANED_AFTER};
use shared_core::ids::UserId;
use shared_lambda::Metric;
use shared_postgres::TurnRef;
use shared_turns::CloseError;
use tokio::time::{Duration, sleep};

use crate::Deps;

/// Grace period: after a cache restart the liveness keys are missing until the next heartbeat.
pub(crate) const GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Returns whether `turn` is orphaned, by the state that its live log has just returned.
pub(crate) fn is_orphaned(turn: &TurnRef, state: LogState, now: Timestamp) -> bool {
    match state {
        LogState::Running | LogState::Ended => false,
        LogState::Orphaned => true,
        // Its log is not begun yet, its process cannot reach the cache or keeps no log: only its age decides.
        LogState::Absent => now - ORPHANED_AFTER > turn.began_at,
    }
}

/// Closes `turn` if it is orphaned; returns whether it was. Also closes a turn that has ended but could not be
/// stored: its log is complete, and the sweep later stores its end from the inbox over this one.
pub(crate) async fn close_if_orphaned(
    deps: &Deps,
    user: UserId,
    turn: &TurnRef,
) -> Result<bool, CloseError> {
    let log = deps.cache.live_log(user, &turn.answer);
    let can_close = async || {
        let state = log.state().await?;
        let now = deps.app.clock().now();
        Ok::<_, CloseError>(state == LogState::Ended || is_orphaned(turn, state, now))
    };
    if !can_close().await? {
        return Ok(false);
    }
    sleep(GRACE_PERIOD).await;
    if !can_close().await? {
        return Ok(false);
    }
    close_and_report(deps, user, turn, &log).await?;
    Ok(true)
}

/// Closes an orphaned turn with the text in its log, and counts it; returns whether it was still open.
pub(crate) async fn close_and_report(
    deps: &Deps,
    user: UserId,
    turn: &TurnRef,
    log: &LiveLog,
) -> Result<bool, CloseError> {
    let now = deps.app.clock().now();
    let interrupt =
        async |answer: &Answer| deps.database.interrupt_turn(user, &turn.answer, answer, now).await;
    let Some(closed) = shared_turns::close_orphaned(log, interrupt).await? else {
        return Ok(false);
    };
    if closed.had_ended {
        tracing::warn!(answer = %turn.answer, "recovered a turn that could not be stored from its live log");
    } else {
        tracing::warn!(answer = %turn.answer, "closed an orphaned turn with the text it had produced");
        deps.app.measure(&[Metric::one("TurnsOrphaned")], &[]);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use shared_core::chat::AnswerError;
    use shared_http::ApiError;
    use shared_turns::interrupted_text;

    #[test]
    fn an_orphaned_turns_last_frame_has_the_body_of_the_error_response() {
        assert_eq!(interrupted_text(), ApiError::from(AnswerError::Interrupted).to_json());
    }
}
