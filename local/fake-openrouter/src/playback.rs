//! Plays a stream's acts as a response body.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::Scissors;
use crate::frames::Act;
use crate::generation::{Generation, Progress};

/// Returns a body that plays `acts` in order.
pub(crate) fn body(acts: VecDeque<Act>, generation: Generation, scissors: Scissors) -> Body {
    let playback = Playback { acts, generation, scissors, due: None };
    Body::from_stream(stream::unfold(playback, async |mut playback| {
        let bytes = playback.next().await?;
        Some((Ok::<_, Infallible>(bytes), playback))
    }))
}

struct Playback {
    acts: VecDeque<Act>,
    generation: Generation,
    scissors: Scissors,
    /// When the next paced chunk is due.
    due: Option<Instant>,
}

/// Runs when the client has disconnected, or the stream is over.
impl Drop for Playback {
    fn drop(&mut self) {
        if self.generation.goes_on() {
            for act in self.acts.drain(..) {
                self.generation.add(act.progress());
            }
        }
    }
}

impl Playback {
    /// Returns the bytes of the next write.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(act) = self.acts.pop_front() else {
                self.generation.end();
                return None;
            };
            match act {
                Act::Write(bytes, progress) => {
                    self.let_the_last_write_leave().await;
                    self.generation.add(progress);
                    if self.acts.is_empty() {
                        self.generation.end();
                    }
                    return Some(bytes);
                }
                Act::Wait(time) => sleep(time).await,
                Act::Gate(gate) => gate.passed().await,
                Act::Heartbeat(every, beat) => {
                    sleep(every).await;
                    self.acts.push_front(Act::Heartbeat(every, beat.clone()));
                    return Some(beat);
                }
                Act::Paced { left: 0, .. } => {}
                Act::Paced { frame, gap, left } => {
                    self.wait_until_due(gap).await;
                    self.generation.add(Progress::tokens(1));
                    self.acts.push_front(Act::Paced { frame: frame.clone(), gap, left: left - 1 });
                    return Some(frame);
                }
                Act::Cut(bytes) => {
                    self.let_the_last_write_leave().await;
                    self.scissors.cut_within(&bytes);
                    self.generation.end();
                    return Some(bytes);
                }
                Act::Silent => std::future::pending().await,
            }
        }
    }

    /// Yields, so that hyper flushes: it joins all ready bytes into one write, and flushes once the body is
    /// pending.
    async fn let_the_last_write_leave(&self) {
        tokio::task::yield_now().await;
    }

    async fn wait_until_due(&mut self, gap: Duration) {
        let now = Instant::now();
        let due = self.due.unwrap_or(now);
        self.due = Some(due.checked_add(gap).unwrap_or(due));
        // The timer rounds up to a whole millisecond, which a chunk that is already late or has no
        // gap must not wait for.
        if due > now {
            sleep_until(due).await;
        } else {
            self.let_the_last_write_leave().await;
        }
    }
}
