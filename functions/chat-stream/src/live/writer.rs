//! Writes the live log of a turn: a copy of its response's frames, for clients that follow on another
//! connection, or resume.
//!
//! In a task of its own: the client of the response never waits for the cache. Failed writes are retried
//! from a bounded buffer; beyond it the log has a gap, which readers detect by the frames' numbers.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use shared_cache::{Batch, Cache, CacheError, LiveLog};
use shared_core::ids::{MessageId, UserId};
use shared_http::AppContext;
use shared_lambda::{Metric, Tasks};
use shared_ui_stream::{FrameReader, FrameWriter, Frames, frame_buffer};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Frames within this window are written as one batch. With the duration of a write, this is what a killed process
/// loses: 50 ms.
const BATCH_WINDOW: Duration = Duration::from_millis(40);
/// This many bytes are written without waiting for the window.
const FLUSH_BYTES: usize = 4096;
/// How often a turn renews its liveness key and checks for a stop request, on average: at the end of a window.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);
/// The size limit of one answer's log. More than a hundred thousand words.
const MAX_LOG_BYTES: usize = 8 * 1024 * 1024;
/// The size limit of the buffer while the cache is unavailable.
const MAX_UNWRITTEN_BYTES: usize = 1024 * 1024;
/// How long the end of a response waits for the end of its log.
const END_WITHIN: Duration = Duration::from_millis(600);
/// The same while the cache is unavailable.
const END_WITHIN_AN_OUTAGE: Duration = Duration::from_millis(20);
/// How often writing the end is tried: refused connections fail at once.
const END_TRIES: u32 = 5;

/// Writes a turn's live log until [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    over: oneshot::Receiver<()>,
}

/// State shared by the turn and its log's task.
#[derive(Debug, Default)]
struct Shared {
    generation: OnceLock<String>,
    stop: CancellationToken,
    is_behind: AtomicBool,
}

impl LogWriter {
    /// Begins the log of `answer`, and spawns its task. The frames that are written to the returned buffer are appended
    /// to the log, until that is dropped.
    pub(crate) fn start(
        cache: &Cache,
        tasks: &Tasks,
        app: &AppContext,
        user: UserId,
        answer: &MessageId,
    ) -> (Self, FrameWriter) {
        let (frame_writer, frames) = frame_buffer(FLUSH_BYTES);
        let shared = Arc::<Shared>::default();
        let (is_over, over) = oneshot::channel();
        let task = LogWriterTask {
            log: cache.live_log(user, answer),
            frames,
            shared: Arc::clone(&shared),
            unwritten: Frames::default(),
            written: 0,
            is_lost: false,
            is_identified: false,
            app: app.clone(),
        };
        let record = async move {
            task.run().await;
            drop(is_over);
        };
        tasks.spawn(record.in_current_span());
        (Self { shared, over }, frame_writer)
    }

    /// Stores the provider's generation id, by which its record of the answer can be looked up.
    pub(crate) fn identify(&self, generation: &str) {
        if self.shared.generation.get().is_none() {
            let _ = self.shared.generation.set(generation.to_owned());
        }
    }

    /// Waits for a stop request.
    pub(crate) async fn stop_requested(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Waits until the end of the log is written: Lambda may freeze the process after the response.
    pub(crate) async fn finish(self) {
        let is_behind = self.shared.is_behind.load(Ordering::Relaxed);
        let within = if is_behind { END_WITHIN_AN_OUTAGE } else { END_WITHIN };
        let _ = timeout(within, self.over).await;
    }
}

/// The task that writes the log.
struct LogWriterTask {
    log: LiveLog,
    frames: FrameReader,
    shared: Arc<Shared>,
    /// Frames that are not written yet.
    unwritten: Frames,
    /// Bytes written.
    written: usize,
    /// Whether the log has a gap: later frames are not written, except the last ones.
    is_lost: bool,
    /// Whether the log has the generation id.
    is_identified: bool,
    app: AppContext,
}

impl LogWriterTask {
    async fn run(mut self) {
        self.heartbeat().await;
        let mut heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
        let mut window = pin!(sleep_until(window_end()));
        loop {
            tokio::select! {
                biased;
                () = self.frames.wait_for_flush() => {}
                () = &mut window => {}
            }
            let (frames, is_over) = self.frames.take();
            self.keep(frames);
            if is_over {
                return self.end().await;
            }
            if self.has_new_generation() {
                self.heartbeat().await;
                heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
            } else if Instant::now() >= heartbeat_at {
                self.heartbeat().await;
                // A window that ended late does not delay the next heartbeat; a slow cache does.
                let soonest = Instant::now() + HEARTBEAT_INTERVAL - BATCH_WINDOW;
                heartbeat_at = soonest.max(heartbeat_at + HEARTBEAT_INTERVAL);
            } else if !self.is_behind() && !self.is_lost {
                self.append().await;
            }
            window.as_mut().reset(window_end());
        }
    }

    fn keep(&mut self, frames: Frames) {
        if !self.is_lost {
            self.unwritten.append(frames);
            if self.written + self.unwritten.bytes.len() > MAX_LOG_BYTES {
                self.lose();
            }
        } else if !frames.is_empty() {
            // The last frames are written at the end: by their numbers, readers detect the gap.
            self.unwritten = frames;
        }
    }

    /// Whether the generation id has just become known. It is written at once: without it the cost of an answer whose
    /// process is killed cannot be looked up.
    fn has_new_generation(&self) -> bool {
        !self.is_identified && !self.is_behind() && self.shared.generation.get().is_some()
    }

    /// Renews the lease, and writes what is unwritten; after a failed write this is the retry.
    async fn heartbeat(&mut self) {
        let batch = batch(&self.unwritten).filter(|_| !self.is_lost);
        let has_batch = batch.is_some();
        let generation = self.shared.generation.get().map(String::as_str);
        match self.log.heartbeat(batch, generation).await {
            Ok(is_stop_requested) => {
                self.is_identified |= generation.is_some();
                if has_batch {
                    self.note_written();
                }
                self.set_behind(None);
                if is_stop_requested {
                    self.shared.stop.cancel();
                }
            }
            Err(error) => self.note_failure(&error),
        }
    }

    /// Writes what is unwritten, if there is any.
    async fn append(&mut self) {
        let Some(batch) = batch(&self.unwritten) else { return };
        match self.log.append(batch).await {
            Ok(true) => self.note_written(),
            // The cache has lost the log: a heartbeat begins it again.
            Ok(false) => self.heartbeat().await,
            Err(error) => self.note_failure(&error),
        }
    }

    fn note_written(&mut self) {
        self.written += self.unwritten.bytes.len();
        self.unwritten = Frames::default();
    }

    fn note_failure(&mut self, error: &CacheError) {
        self.set_behind(Some(error));
        if self.unwritten.bytes.len() > MAX_UNWRITTEN_BYTES && !self.is_lost {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.is_lost = true;
        tracing::warn!(log.bytes = self.written, "the live log has a gap from here on");
        self.app.measure(&[Metric::one("LogLost")], &[]);
    }

    /// Writes the end, with retries while [`LogWriter::finish`] waits: readers of a log without an end take
    /// the turn for orphaned.
    async fn end(mut self) {
        for _ in 0..END_TRIES {
            match self.log.end(batch(&self.unwritten)).await {
                Ok(()) => return,
                Err(error) => self.set_behind(Some(&error)),
            }
            sleep(BATCH_WINDOW).await;
        }
    }

    fn is_behind(&self) -> bool {
        self.shared.is_behind.load(Ordering::Relaxed)
    }

    /// Notes an outage, or its end, and logs each once.
    fn set_behind(&mut self, why: Option<&CacheError>) {
        let was_behind = self.shared.is_behind.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(error) if !was_behind => {
                tracing::warn!(%error, "the live log falls behind: the cache is unavailable");
            }
            None if was_behind => tracing::info!("the live log has caught up"),
            Some(_) | None => {}
        }
    }
}

fn batch(frames: &Frames) -> Option<Batch<&[u8]>> {
    let Frames { first, last, bytes } = frames;
    (!frames.is_empty()).then_some(Batch { first: *first, last: *last, frames: bytes })
}

/// Returns the end of the current window. The windows of all turns lie on one grid: their batches leave the process in
/// one wake-up, and share a write to the socket.
fn window_end() -> Instant {
    static GRID: LazyLock<Instant> = LazyLock::new(Instant::now);
    let windows = GRID.elapsed().as_millis() / BATCH_WINDOW.as_millis();
    *GRID + BATCH_WINDOW * u32::try_from(windows + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
