//! Follows a turn that runs, or ran, in another process: its live log as a stream.
//!
//! ```text
//! the log's next page ──▶ frames, as they were sent ──▶ the client, when it wants more
//!                    └──▶ no new frames: poll again; orphaned: close the turn, send its error
//! ```
//!
//! The client pulls (backpressure): a slow one delays no other, and nothing is buffered here for it.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use shared_cache::{CacheError, LiveLog, LogPage, LogState, Subject};
use shared_core::chat::{AnswerError, AnswerStatus, ResumeError};
use shared_core::ids::UserId;
use shared_core::limits::Limit;
use shared_http::ApiError;
use shared_postgres::TurnRef;
use shared_ui_stream::{COMMENT, DONE, error_frame, event_stream};
use tokio::time::{Duration, Instant, sleep};
use tracing::{Instrument, Span};

use crate::Deps;
use crate::live::orphaned::{GRACE_PERIOD, close_and_report, is_orphaned};

/// How often a log is polled. With the writer's batch window, readers are some 40 ms behind.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(30);
/// Rate limit of follows per user. Each occupies a function instance for as long as the answer runs.
const FOLLOWS: Limit = Limit::per_minute(120);
/// How many retries follow a failed read of the cache.
const RETRIES: u32 = 3;

/// Returns a stream of the frames of `turn` after frame `after`, up to its end; or `None` if it has ended
/// and its log has expired.
pub(crate) async fn follow(
    deps: Deps,
    user: UserId,
    turn: TurnRef,
    after: u64,
) -> Result<Option<Response>, ResumeError> {
    let log = deps.cache.live_log(user, &turn.answer);
    let (subject, now) = (Subject::User(user), deps.app.clock().now());
    let acquiring = deps.cache.acquire(&subject, "follows", &[FOLLOWS], now);
    let (permit, page) = tokio::join!(acquiring, log.read(after));
    let unavailable = |error: CacheError| ResumeError::Unavailable(error.into());
    permit.map_err(unavailable)?.map_err(ResumeError::TooOften)?;
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
        sent_at: Instant::now(),
        orphaned_since: None,
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
    /// The last frame that the client has.
    after: u64,
    /// A page that was read and not sent yet.
    page: Option<LogPage>,
    sent_at: Instant,
    /// Since when the turn looks orphaned.
    orphaned_since: Option<Instant>,
    /// Whether another process was seen to have closed the orphaned turn.
    is_closed: bool,
    is_over: bool,
}

impl LogReader {
    /// Returns the next frames or a keep-alive comment, waiting for them; `None` after the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        loop {
            let page = match self.page.take() {
                Some(page) => page,
                None => match self.poll().await {
                    Ok(page) => page,
                    Err(error) => {
                        return Some(self.break_off(ResumeError::Unavailable(error.into())));
                    }
                },
            };
            if !page.batches.is_empty() {
                return Some(self.send(&page));
            }
            if page.state == LogState::Ended {
                return Some(self.end());
            }
            if !is_orphaned(&self.turn, page.state, self.deps.app.clock().now()) {
                self.orphaned_since = None;
            } else if self.orphaned_for() >= GRACE_PERIOD {
                match close_and_report(&self.deps, self.user, &self.turn, &self.log).await {
                    // Its log has an end now.
                    Ok(true) => continue,
                    // Race: another process has just closed it, and is about to end its log.
                    Ok(false) if !self.is_closed => {
                        self.is_closed = true;
                        self.orphaned_since = None;
                    }
                    // It was closed, but its log never got an end.
                    Ok(false) => return Some(self.break_off(gap())),
                    Err(error) => {
                        tracing::warn!(%error, "left an orphaned turn to the sweep");
                        return Some(self.break_off(AnswerError::Interrupted));
                    }
                }
            }
            if self.sent_at.elapsed() >= self.deps.config.keep_alive {
                return Some(self.sent(Bytes::from_static(COMMENT.as_bytes())));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn poll(&self) -> Result<LogPage, CacheError> {
        let mut failures = 0;
        loop {
            match self.log.read(self.after).await {
                Err(error) if failures < RETRIES => {
                    tracing::debug!(%error, "could not read a live log");
                    failures += 1;
                    sleep(POLL_INTERVAL).await;
                }
                result => return result,
            }
        }
    }

    fn send(&mut self, page: &LogPage) -> Bytes {
        let mut frames = BytesMut::new();
        for batch in &page.batches {
            let Some(unsent) = batch.after(self.after) else {
                frames.extend_from_slice(&self.break_off(gap()));
                return frames.freeze();
            };
            frames.extend_from_slice(unsent);
            self.after = batch.last;
        }
        self.is_over = frames.ends_with(DONE.as_bytes());
        self.sent(frames.freeze())
    }

    fn sent(&mut self, frames: Bytes) -> Bytes {
        self.sent_at = Instant::now();
        frames
    }

    /// Ends a log without new frames: the client has them all, or if it has none, the log has a gap.
    fn end(&mut self) -> Bytes {
        if self.after == 0 {
            return self.break_off(gap());
        }
        self.is_over = true;
        Bytes::from_static(DONE.as_bytes())
    }

    fn orphaned_for(&mut self) -> Duration {
        self.orphaned_since.get_or_insert_with(Instant::now).elapsed()
    }

    fn break_off(&mut self, why: impl Into<ApiError>) -> Bytes {
        self.is_over = true;
        error_frame(&why.into().to_json()).into()
    }
}

fn gap() -> ResumeError {
    ResumeError::Unavailable("the live log has a gap".into())
}
