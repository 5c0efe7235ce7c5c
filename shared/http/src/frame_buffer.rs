//! A copy of a stream's frames, for the task that appends them to the live log.
//!
//! The writer appends frames and never waits; the consumer takes all that are buffered, at its own pace.
//! It is woken when the buffer is full, and at the end; a wake-up per token would delay the client's stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::Notify;

/// Consecutive frames, as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// The first one's number; numbers count from 1.
    pub first: u64,
    /// The last one's number; 0 if there are none.
    pub last: u64,
    /// The frames.
    pub bytes: BytesMut,
}

impl Frames {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends the frames that follow.
    pub fn append(&mut self, more: Self) {
        if self.is_empty() {
            *self = more;
        } else if !more.is_empty() {
            self.last = more.last;
            self.bytes.unsplit(more.bytes);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    frames: Frames,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// The frames of a stream that were not taken yet. Cheap to clone: one for the writer, one for the consumer.
#[derive(Clone, Debug, Default)]
pub struct FrameBuffer(Arc<Shared>);

/// A buffer of this many bytes is full, and wakes the consumer.
pub const FLUSH_BYTES: usize = 4096;

impl FrameBuffer {
    /// Appends the frames with the numbers `first` to `last`.
    pub fn append(&self, first: u64, last: u64, frames: &[u8]) {
        let mut state = self.lock();
        let before = state.frames.bytes.len();
        if before == 0 {
            state.frames.first = first;
        }
        state.frames.last = last;
        state.frames.bytes.extend_from_slice(frames);
        if before < FLUSH_BYTES && state.frames.bytes.len() >= FLUSH_BYTES {
            self.0.changed.notify_one();
        }
    }

    /// Marks the stream as over.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.0.changed.notify_one();
    }

    /// Waits until [`FLUSH_BYTES`] are buffered, or the stream is over.
    pub async fn wait_for_flush(&self) {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.lock();
                if state.is_over || state.frames.bytes.len() >= FLUSH_BYTES {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Takes the frames since the last call, and returns whether the stream is over.
    pub fn take(&self) -> (Frames, bool) {
        let mut state = self.lock();
        let frames = Frames {
            first: state.frames.first,
            last: state.frames.last,
            bytes: state.frames.bytes.split(),
        };
        (frames, state.is_over)
    }

    /// Nothing under this lock can panic half-way, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake};

    use futures_util::FutureExt;

    use super::*;

    /// Counts how often the consumer was woken.
    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn frames_are_taken_once_and_in_order() {
        let frame_buffer = FrameBuffer::default();
        frame_buffer.append(1, 2, b"ab");
        frame_buffer.append(3, 3, b"c");
        let (frames, is_over) = frame_buffer.take();
        assert_eq!(
            (frames.first, frames.last, &frames.bytes[..], is_over),
            (1, 3, &b"abc"[..], false)
        );
        assert!(frame_buffer.take().0.is_empty());
        frame_buffer.append(4, 4, b"d");
        frame_buffer.end();
        let (frames, is_over) = frame_buffer.take();
        assert_eq!((frames.first, frames.last, is_over), (4, 4, true));
    }

    #[test]
    fn the_consumer_is_woken_by_a_full_buffer_and_by_the_end() {
        let (frame_buffer, woken) = (FrameBuffer::default(), Arc::new(Woken::default()));
        let waker = Arc::clone(&woken).into();
        let mut context = Context::from_waker(&waker);
        let times = || woken.0.load(Ordering::Relaxed);

        let mut consumer = Box::pin(frame_buffer.wait_for_flush());
        frame_buffer.append(1, 1, b"a");
        assert!(consumer.poll_unpin(&mut context).is_pending());
        frame_buffer.append(2, 2, b"b");
        assert_eq!(times(), 0, "a token");
        frame_buffer.append(3, 3, &[b'c'; FLUSH_BYTES]);
        assert_eq!(times(), 1, "a full buffer");
        frame_buffer.append(4, 4, b"d");
        assert_eq!(times(), 1, "it is woken already");
        assert!(consumer.poll_unpin(&mut context).is_ready());

        frame_buffer.take();
        let mut consumer = Box::pin(frame_buffer.wait_for_flush());
        assert!(consumer.poll_unpin(&mut context).is_pending());
        frame_buffer.end();
        assert_eq!(times(), 2, "the end");
        assert!(consumer.poll_unpin(&mut context).is_ready());
    }

    #[test]
    fn frames_whose_append_failed_are_joined_with_those_that_follow() {
        let frame_buffer = FrameBuffer::default();
        frame_buffer.append(1, 2, b"ab");
        let (mut kept, _) = frame_buffer.take();
        kept.append(frame_buffer.take().0);
        frame_buffer.append(3, 3, b"c");
        kept.append(frame_buffer.take().0);
        assert_eq!((kept.first, kept.last, &kept.bytes[..]), (1, 3, &b"abc"[..]));
    }
}
