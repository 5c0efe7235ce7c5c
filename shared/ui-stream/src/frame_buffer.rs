//! A buffer between the writer of a stream and a reader in another task.
//!
//! The writer never waits: frames are buffered until the reader takes all of them at once. So a reader that keeps up
//! gets every write by itself, a slow one gets the buffered writes in one piece, and one that is gone costs nothing.
//! The buffer is bounded by the length of one answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

/// Initial capacity, in bytes: room for some frames, so that most writes need no allocation of their own.
const CAPACITY: usize = 1024;

/// Consecutive frames, as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// The first one's number; numbers count from 1.
    pub first: u64,
    /// The last one's number. Both are meaningless if there are none.
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

#[derive(Debug)]
struct State {
    frames: Frames,
    /// How many buffered bytes wake the reader: one until the first frames are taken.
    wakes_at: usize,
    reader: Option<Waker>,
    is_over: bool,
    is_reader_gone: bool,
}

impl State {
    fn is_ready(&self) -> bool {
        self.is_over || self.frames.bytes.len() >= self.wakes_at
    }
}

#[derive(Debug)]
struct FrameBuffer {
    state: Mutex<State>,
    flush_bytes: usize,
}

impl FrameBuffer {
    /// Nothing under this lock can panic half-way, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes the reader if it waits for what there is now.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let reader = if state.is_ready() { state.reader.take() } else { None };
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// Creates a buffer whose reader wakes at the first frames, then when `flush_bytes` are buffered, and at the end. With
/// 1 it gets every write at once; with more, it is not woken per token, which would delay the writer.
pub fn frame_buffer(flush_bytes: usize) -> (FrameWriter, FrameReader) {
    let frames = Frames { bytes: BytesMut::with_capacity(CAPACITY), ..Frames::default() };
    let state = State { frames, wakes_at: 1, reader: None, is_over: false, is_reader_gone: false };
    let buffer = Arc::new(FrameBuffer { state: Mutex::new(state), flush_bytes });
    (FrameWriter(Arc::clone(&buffer)), FrameReader(buffer))
}

/// Writes to a buffer. Dropping it ends the stream.
#[derive(Debug)]
pub struct FrameWriter(Arc<FrameBuffer>);

impl FrameWriter {
    /// Appends frames with the numbers `first` to `last` (comments have none). Does nothing if the reader is gone.
    pub fn append(&self, first: u64, last: u64, frames: &[u8]) {
        self.0.change(|state| {
            if state.is_reader_gone {
                return;
            }
            if state.frames.is_empty() {
                state.frames.first = first;
            }
            state.frames.last = last;
            state.frames.bytes.extend_from_slice(frames);
        });
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        self.0.change(|state| state.is_over = true);
    }
}

/// Reads a buffer. As a response's body it yields the frames, and never an error: an error of a body would be sent to
/// the client as text, under a status of 200.
#[derive(Debug)]
pub struct FrameReader(Arc<FrameBuffer>);

impl FrameReader {
    /// Takes the frames since the last call, and returns whether the stream is over.
    pub fn take(&mut self) -> (Frames, bool) {
        let mut state = self.0.lock();
        let bytes = state.frames.bytes.split();
        if !bytes.is_empty() {
            state.wakes_at = self.0.flush_bytes;
        }
        (Frames { first: state.frames.first, last: state.frames.last, bytes }, state.is_over)
    }

    /// Waits until enough bytes are buffered, or the stream is over. Cancel-safe.
    pub async fn wait_for_flush(&mut self) {
        poll_fn(|context| self.poll_flush(context)).await;
    }

    fn poll_flush(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.is_ready() {
            return Poll::Ready(());
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            state.reader = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Body for FrameReader {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        this.poll_flush(context).map(|()| {
            let (frames, _) = this.take();
            (!frames.is_empty()).then(|| Ok(Frame::data(frames.bytes.freeze())))
        })
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_reader_gone = true;
        state.frames = Frames::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    /// Counts how often the reader was woken.
    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nothing yet, the end, or a frame of the body.
    #[expect(clippy::option_option, reason = "a future's and a stream's")]
    fn next(body: &mut FrameReader) -> Option<Option<String>> {
        let frame = body.frame().now_or_never()?;
        Some(
            frame.map(|frame| {
                String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap()
            }),
        )
    }

    #[test]
    fn a_reader_that_keeps_up_gets_every_write_by_itself() {
        let (writer, mut body) = frame_buffer(1);
        for (number, text) in (1..).zip(["a", "b"]) {
            writer.append(number, number, text.as_bytes());
            assert_eq!(next(&mut body), Some(Some(text.to_owned())));
        }
        assert_eq!(next(&mut body), None);
        drop(writer);
        assert_eq!(next(&mut body), Some(None));
    }

    #[test]
    fn buffered_writes_come_in_one_piece_and_before_the_end() {
        let (writer, mut body) = frame_buffer(1);
        writer.append(1, 1, b"a");
        writer.append(2, 2, b"b");
        drop(writer);
        assert_eq!(next(&mut body), Some(Some("ab".to_owned())));
        assert_eq!(next(&mut body), Some(None));
    }

    #[test]
    fn writes_to_a_reader_that_is_gone_are_dropped() {
        let (writer, body) = frame_buffer(1);
        writer.append(1, 1, b"a");
        drop(body);
        writer.append(2, 2, b"b");
        assert!(writer.0.lock().frames.is_empty());
    }

    #[test]
    fn frames_are_taken_once_and_in_order() {
        let (writer, mut reader) = frame_buffer(9);
        writer.append(1, 2, b"ab");
        writer.append(3, 3, b"c");
        let (frames, is_over) = reader.take();
        assert_eq!(
            (frames.first, frames.last, &frames.bytes[..], is_over),
            (1, 3, &b"abc"[..], false)
        );
        assert!(reader.take().0.is_empty());
        writer.append(4, 4, b"d");
        drop(writer);
        let (frames, is_over) = reader.take();
        assert_eq!((frames.first, frames.last, is_over), (4, 4, true));
    }

    #[test]
    fn the_reader_is_woken_by_the_first_frames_a_full_buffer_and_the_end() {
        let (writer, mut reader) = frame_buffer(3);
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let mut context = Context::from_waker(&waker);
        let times = || woken.0.load(Ordering::Relaxed);

        let mut flush = Box::pin(reader.wait_for_flush());
        assert!(flush.poll_unpin(&mut context).is_pending());
        writer.append(1, 1, b"a");
        assert_eq!(times(), 1, "the first frames");
        assert!(flush.poll_unpin(&mut context).is_ready());

        drop(flush);
        reader.take();
        let mut flush = Box::pin(reader.wait_for_flush());
        assert!(flush.poll_unpin(&mut context).is_pending());
        writer.append(2, 2, b"b");
        writer.append(3, 3, b"c");
        assert_eq!(times(), 1, "a token");
        writer.append(4, 4, b"d");
        assert_eq!(times(), 2, "a full buffer");
        writer.append(5, 5, b"e");
        assert_eq!(times(), 2, "it is woken already");
        assert!(flush.poll_unpin(&mut context).is_ready());

        drop(flush);
        reader.take();
        let mut flush = Box::pin(reader.wait_for_flush());
        assert!(flush.poll_unpin(&mut context).is_pending());
        drop(writer);
        assert_eq!(times(), 3, "the end");
        assert!(flush.poll_unpin(&mut context).is_ready());
    }

    #[test]
    fn frames_whose_append_failed_are_joined_with_those_that_follow() {
        let (writer, mut reader) = frame_buffer(9);
        writer.append(1, 2, b"ab");
        let (mut kept, _) = reader.take();
        kept.append(reader.take().0);
        writer.append(3, 3, b"c");
        kept.append(reader.take().0);
        assert_eq!((kept.first, kept.last, &kept.bytes[..]), (1, 3, &b"abc"[..]));
    }
}
