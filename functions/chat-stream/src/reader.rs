//! Following a turn that runs elsewhere, or ran: its live log as a stream.
//!
//! ```text
//! the log's next page ──▶ frames, as they were sent ──▶ the reader, when it wants more
//!                    └──▶ nothing new: look again soon; nobody writes: say that it broke off
//! ```
//!
//! The reader pulls. One that is slow makes nobody wait, and nothing gathers here for it.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use shared_cache::{CacheError, LiveLog, LogState, Page, Subject};
use shared_core::chat::AnswerStatus;
use shared_core::ids::UserId;
use shared_core::limits::Limit;
use shared_core::turn::TurnError;
use shared_http::{ApiError, COMMENT, DONE, broken_off, event_stream};
use shared_postgres::TurnRef;
use tokio::time::{Duration, Instant, sleep};
use tracing::{Instrument, Span};

use crate::Deps;
use crate::orphaned::{GRACE_PERIOD, close_orphaned, is_orphaned};

/// How often a log is looked at. With the time for which frames gather before they are written, readers
/// are some 50 ms behind.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(30);
/// What one user may begin to follow. Each takes a function's environment for as long as the answer runs.
const FOLLOWS: Limit = Limit::per_minute(120);
/// How often the cache may fail in a row.
const PATIENCE: u32 = 3;

/// A response that tells what `turn` has said after frame `after`, and goes on to its end; or none if
/// it has ended, and its log is not there any more.
pub(crate) async fn follow(
    deps: Deps,
    user: UserId,
    turn: TurnRef,
    after: u64,
) -> Result<Option<Response>, TurnError> {
    let log = deps.cache.live_log(user, &turn.answer);
    let (subject, now) = (Subject::User(user), deps.app.clock().now());
    let taking = deps.cache.acquire(&subject, "follows", &[FOLLOWS], now);
    let (permit, page) = tokio::join!(taking, log.read(after));
    let unavailable = |error: CacheError| TurnError::ResumeUnavailable(error.into());
    permit.map_err(unavailable)?.map_err(TurnError::FollowedTooOften)?;
    let page = page.map_err(unavailable)?;
    let has_ended = turn.status != AnswerStatus::Streaming;
    if has_ended && matches!(page.state, LogState::Orphaned | LogState::Absent) {
        return Ok(None);
    }
    let reader = LogReader {
        deps,
        user,
        turn,
        log,
        after,
        page: Some(page),
        told_at: Instant::now(),
        silent_since: None,
        is_closed: false,
        is_over: false,
    };
    // The response's body is read outside the request's span.
    let span = Span::current();
    let frames = stream::unfold(reader, move |mut reader| {
        let next = async move {
            let frames = reader.next().await?;
            Some((Ok::<_, Infallible>(frames), reader))
        };
        next.instrument(span.clone())
    });
    Ok(Some(event_stream(Body::from_stream(frames))))
}

struct LogReader {
    deps: Deps,
    user: UserId,
    turn: TurnRef,
    log: LiveLog,
    /// The last frame that the reader has.
    after: u64,
    /// What was read and not told yet.
    page: Option<Page>,
    told_at: Instant,
    /// Since when nobody is known to write.
    silent_since: Option<Instant>,
    /// Whether it was found dead, and closed already.
    is_closed: bool,
    is_over: bool,
}

impl LogReader {
    /// What the reader is told next. Waits until there is something.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        loop {
            let page = match self.page.take() {
                Some(page) => page,
                None => match self.look().await {
                    Ok(page) => page,
                    Err(error) => {
                        return Some(self.break_off(TurnError::ResumeUnavailable(error.into())));
                    }
                },
            };
            if !page.batches.is_empty() {
                return Some(self.tell(&page));
            }
            if page.state == LogState::Ended {
                return Some(self.end());
            }
            if !is_orphaned(&self.turn, page.state, self.deps.app.clock().now()) {
                self.silent_since = None;
            } else if self.silent_for() >= GRACE_PERIOD {
                match close_orphaned(&self.deps, self.user, &self.turn, &self.log).await {
                    // Its log has an end now.
                    Ok(true) => continue,
                    // Somebody else has closed it just now, and is about to end its log.
                    Ok(false) if !self.is_closed => {
                        self.is_closed = true;
                        self.silent_since = None;
                    }
                    // It has ended otherwise, and its log does not know.
                    Ok(false) => return Some(self.break_off(gap())),
                    Err(error) => {
                        tracing::warn!(%error, "a dead turn is left to the sweep");
                        return Some(self.break_off(TurnError::Interrupted));
                    }
                }
            }
            if self.told_at.elapsed() >= self.deps.config.heartbeat {
                return Some(self.told(Bytes::from_static(COMMENT.as_bytes())));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn look(&self) -> Result<Page, CacheError> {
        let mut failures = 0;
        loop {
            match self.log.read(self.after).await {
                Err(error) if failures < PATIENCE => {
                    tracing::debug!(%error, "a live log could not be read");
                    failures += 1;
                    sleep(POLL_INTERVAL).await;
                }
                result => return result,
            }
        }
    }

    fn tell(&mut self, page: &Page) -> Bytes {
        let mut frames = BytesMut::new();
        for batch in &page.batches {
            let Some(said) = batch.after(self.after) else {
                frames.extend_from_slice(&self.break_off(gap()));
                return frames.freeze();
            };
            frames.extend_from_slice(said);
            self.after = batch.last;
        }
        self.is_over = frames.ends_with(DONE.as_bytes());
        self.told(frames.freeze())
    }

    fn told(&mut self, frames: Bytes) -> Bytes {
        self.told_at = Instant::now();
        frames
    }

    /// The reader had all of it already; unless it has had nothing.
    fn end(&mut self) -> Bytes {
        if self.after == 0 {
            return self.break_off(gap());
        }
        self.is_over = true;
        Bytes::from_static(DONE.as_bytes())
    }

    fn silent_for(&mut self) -> Duration {
        self.silent_since.get_or_insert_with(Instant::now).elapsed()
    }

    fn break_off(&mut self, why: TurnError) -> Bytes {
        self.is_over = true;
        broken_off(&ApiError::from(why))
    }
}

fn gap() -> TurnError {
    TurnError::ResumeUnavailable("the live log has a gap".into())
}
