//! Turns that died with whoever ran them are closed with what they had said, as their live logs have it.
//! One that had said nothing is free.

use std::time::Duration;

use jiff::Timestamp;
use shared_cache::{Batch, Cache, Error as CacheError, LogState, Said};
use shared_core::credits::TURN_DIES_AFTER;
use shared_core::ids::MessageId;
use shared_http::{answer_of_frames, interrupted};
use shared_postgres::StaleTurn;

use crate::{Failure, Run};

const PAGE: usize = 100;

/// A log is kept for an hour after its last word. Until then it may be read yet, once the cache is back.
const LOG_IS_GONE_AFTER: Duration = Duration::from_mins(70);

/// Each run tries. One that is open for so long cannot be closed.
const STALE_AFTER: Duration = Duration::from_mins(10);

pub(crate) async fn close(run: &mut Run<'_>) -> Result<(), Failure> {
    let (mut after, mut stale) = (None, 0);
    let mut trouble = Trouble { logs: Some(run.deps.cache.clone()), failure: None };
    loop {
        let now = run.deps.clock.now();
        let dead_since = now - TURN_DIES_AFTER;
        let page = run.deps.jobs.stale_turns(dead_since, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.place());
        for turn in &page {
            if run.is_out_of_time() {
                return trouble.failure.map_or(Ok(()), Err);
            }
            let age = now.duration_since(turn.began_at).unsigned_abs();
            let is_open = close_one(run, turn, now, age, &mut trouble).await?;
            stale += u64::from(is_open && age > STALE_AFTER);
        }
    }
    run.swept.streams_stale = Some(stale);
    trouble.failure.map_or(Ok(()), Err)
}

/// What keeps turns open.
struct Trouble {
    /// Where the live logs are. A cache that is away takes its time to say so, and is not asked again.
    logs: Option<Cache>,
    /// Why the last one of them is open still.
    failure: Option<Failure>,
}

/// Answers whether it is open still, and should not be.
async fn close_one(
    run: &mut Run<'_>,
    turn: &StaleTurn,
    now: Timestamp,
    age: Duration,
    trouble: &mut Trouble,
) -> Result<bool, Failure> {
    let said = match trouble.last_words(&turn.answer).await {
        LastWords::NotYet => return Ok(false),
        LastWords::Were(said) => said,
        LastWords::Unknown if age > LOG_IS_GONE_AFTER => Said::default(),
        LastWords::Unknown => return Ok(true),
    };
    let answer = answer_of_frames(&said.frames, said.generation.as_deref());
    match run.deps.jobs.interrupt(turn, &answer, now).await {
        Ok(is_closed) => {
            run.swept.turns_ended += u64::from(is_closed);
            run.swept.answers_kept += u64::from(is_closed && !answer.is_empty());
            if is_closed {
                trouble.end_log(turn, &said).await;
            }
            Ok(false)
        }
        // It keeps nobody from closing those that began later.
        Err(error) if run.is_postgres_there().await => {
            tracing::error!(answer = %turn.answer, %error, "a turn that died cannot be closed");
            trouble.failure = Some(error.into());
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

enum LastWords {
    /// Somebody runs it still.
    NotYet,
    Were(Said),
    Unknown,
}

impl Trouble {
    async fn last_words(&mut self, answer: &MessageId) -> LastWords {
        let Some(logs) = &self.logs else { return LastWords::Unknown };
        last_words(logs, answer).await.unwrap_or_else(|error| {
            self.logs = None;
            self.failure = Some(error.into());
            LastWords::Unknown
        })
    }

    /// Whoever follows the turn is told that it broke off.
    async fn end_log(&self, turn: &StaleTurn, said: &Said) {
        let Some(logs) = &self.logs else { return };
        let (number, end) = (said.last + 1, interrupted(said.last + 1));
        let end = Batch { first: number, last: number, frames: &*end };
        if let Err(error) = logs.live_log(&turn.answer).end(Some(end)).await {
            tracing::warn!(answer = %turn.answer, %error, "a live log has no end");
        }
    }
}

async fn last_words(cache: &Cache, answer: &MessageId) -> Result<LastWords, CacheError> {
    let log = cache.live_log(answer);
    match log.read(u64::MAX).await?.state {
        LogState::Running => Ok(LastWords::NotYet),
        // One that has ended could not be stored, not even in the inbox.
        LogState::Ended | LogState::Silent | LogState::Absent => {
            Ok(LastWords::Were(log.whole().await?))
        }
    }
}
