//! The live log of a turn: what its reader is told is written there too, for readers that have another
//! connection, or come back to one.
//!
//! A task of its own: whoever reads this response never waits for the cache. What it could not write it
//! writes later, as long as that is bounded; a log that has a gap is seen to have one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use shared_cache::{Batch, Cache, LiveLog};
use shared_core::ids::{MessageId, UserId};
use shared_http::{AppContext, FrameBuffer, Frames, Metric, Tasks};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What is said within this time is written together, unless it is much.
const BATCH_WINDOW: Duration = Duration::from_millis(20);
/// How often a silent turn says that it is alive, and asks whether it is to stop.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);
/// What one answer may take of the cache. More than a hundred thousand words.
const MAX_LOG_BYTES: usize = 8 * 1024 * 1024;
/// What may wait here for a cache that is away.
const MAX_UNWRITTEN_BYTES: usize = 1024 * 1024;
/// How long the end of a response may wait for the end of its log.
const END_WITHIN: Duration = Duration::from_millis(600);
/// The same, where the cache did not take what was said before.
const END_WITHIN_AN_OUTAGE: Duration = Duration::from_millis(20);
/// How often the end is tried: a cache that refuses connections says so at once.
const END_TRIES: u32 = 5;

/// Writes a turn's live log, until it is told that the turn is over.
#[derive(Debug)]
pub struct LogWriter {
    frame_buffer: FrameBuffer,
    shared: Arc<Shared>,
    over: oneshot::Receiver<()>,
}

/// What the turn and the task that writes its log tell each other.
#[derive(Debug, Default)]
struct Shared {
    generation: OnceLock<String>,
    stop: CancellationToken,
    is_behind: AtomicBool,
}

impl LogWriter {
    /// Begins a log.
    pub fn start(
        cache: &Cache,
        tasks: &Tasks,
        app: &AppContext,
        user: UserId,
        answer: &MessageId,
    ) -> Self {
        let (frame_buffer, shared) = (FrameBuffer::default(), Arc::<Shared>::default());
        let (is_over, over) = oneshot::channel();
        let task = LogWriterTask {
            log: cache.live_log(user, answer),
            frame_buffer: frame_buffer.clone(),
            shared: Arc::clone(&shared),
            unwritten: Frames::default(),
            written: 0,
            is_identified: false,
            is_lost: false,
            app: app.clone(),
        };
        let record = async move {
            task.run().await;
            drop(is_over);
        };
        tasks.spawn(record.in_current_span());
        Self { frame_buffer, shared, over }
    }

    /// What is written into it.
    pub fn frame_buffer(&self) -> FrameBuffer {
        self.frame_buffer.clone()
    }

    /// Keeps the provider's name for the answer, by which its record can be looked up.
    pub fn identify(&self, generation: &str) {
        if self.shared.generation.get().is_none() {
            let _ = self.shared.generation.set(generation.to_owned());
        }
    }

    /// Waits until somebody asks the turn to stop.
    pub(crate) async fn stop_requested(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Ends the log. Waits until that is written: whoever runs this may be frozen after the response.
    pub async fn finish(self) {
        self.frame_buffer.end();
        let is_behind = self.shared.is_behind.load(Ordering::Relaxed);
        let within = if is_behind { END_WITHIN_AN_OUTAGE } else { END_WITHIN };
        let _ = timeout(within, self.over).await;
    }
}

/// The task.
struct LogWriterTask {
    log: LiveLog,
    frame_buffer: FrameBuffer,
    shared: Arc<Shared>,
    /// What the cache has not taken yet.
    unwritten: Frames,
    /// How many bytes it has taken.
    written: usize,
    /// Whether it knows the provider's name for the answer.
    is_identified: bool,
    /// Whether there is a gap: what is said now is not written any more.
    is_lost: bool,
    app: AppContext,
}

impl LogWriterTask {
    async fn run(mut self) {
        self.write().await;
        let mut written_at = Instant::now();
        loop {
            let _ = timeout(BATCH_WINDOW, self.frame_buffer.wait_for_flush()).await;
            let (frames, is_over) = self.frame_buffer.take();
            self.keep(frames);
            if is_over {
                return self.end().await;
            }
            // A cache that did not take it is not asked again at once.
            let is_behind = self.shared.is_behind.load(Ordering::Relaxed) || self.is_lost;
            let has_news = !self.unwritten.is_empty() && !is_behind;
            if has_news || written_at.elapsed() >= HEARTBEAT_INTERVAL {
                self.write().await;
                written_at = Instant::now();
            }
        }
    }

    fn keep(&mut self, frames: Frames) {
        if !self.is_lost {
            self.unwritten.append(frames);
            if self.written + self.unwritten.bytes.len() > MAX_LOG_BYTES {
                self.lose();
            }
        } else if !frames.is_empty() {
            // The last ones are written in the end: by them, readers see that there is a gap.
            self.unwritten = frames;
        }
    }

    async fn write(&mut self) {
        let batch = batch(&self.unwritten).filter(|_| !self.is_lost);
        let generation = self.shared.generation.get().filter(|_| !self.is_identified);
        let (has_batch, identifies) = (batch.is_some(), generation.is_some());
        match self.log.append(batch, generation.map(String::as_str)).await {
            Ok(is_stop_asked) => {
                if has_batch {
                    self.written += self.unwritten.bytes.len();
                    self.unwritten = Frames::default();
                }
                self.is_identified |= identifies;
                self.is_behind(None);
                if is_stop_asked {
                    self.shared.stop.cancel();
                }
            }
            Err(error) => {
                self.is_behind(Some(&error));
                if self.unwritten.bytes.len() > MAX_UNWRITTEN_BYTES && !self.is_lost {
                    self.lose();
                }
            }
        }
    }

    fn lose(&mut self) {
        self.is_lost = true;
        tracing::warn!(log.bytes = self.written, "the live log has a gap from here on");
        self.app.measure(&[Metric::one("LogLost")], &[]);
    }

    /// Tries again for as long as somebody waits for it: who follows a log without an end takes the turn
    /// for dead.
    async fn end(mut self) {
        for _ in 0..END_TRIES {
            match self.log.end(batch(&self.unwritten)).await {
                Ok(()) => return,
                Err(error) => self.is_behind(Some(&error)),
            }
            sleep(BATCH_WINDOW).await;
        }
    }

    /// An outage is told of once.
    fn is_behind(&mut self, why: Option<&shared_cache::CacheError>) {
        let was_behind = self.shared.is_behind.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(error) if !was_behind => {
                tracing::warn!(%error, "the live log waits for the cache");
            }
            None if was_behind => tracing::info!("the live log goes on"),
            Some(_) | None => {}
        }
    }
}

fn batch(frames: &Frames) -> Option<Batch<&[u8]>> {
    let Frames { first, last, bytes } = frames;
    (!frames.is_empty()).then_some(Batch { first: *first, last: *last, frames: bytes })
}
