//! A response body that another task writes.
//!
//! The writer never waits: bytes that the reader has not fetched yet are buffered, and the reader's next
//! fetch takes all of them. So a reader that keeps up gets every write by itself, a slow one gets the
//! buffered writes in one piece, and one that is gone costs nothing. The buffer is bounded by the length
//! of one answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

#[derive(Debug, Default)]
struct State {
    ready: BytesMut,
    reader: Option<Waker>,
    writer_gone: bool,
    reader_gone: bool,
}

#[derive(Debug, Default)]
struct Pipe(Mutex<State>);

impl Pipe {
    /// Nothing under this lock can panic half-way, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates a body and its writer.
pub fn pipe() -> (PipeWriter, PipeBody) {
    let pipe = Arc::new(Pipe::default());
    (PipeWriter(Arc::clone(&pipe)), PipeBody(pipe))
}

/// Writes a [`PipeBody`]. Dropping it ends the body.
#[derive(Debug)]
pub struct PipeWriter(Arc<Pipe>);

impl PipeWriter {
    /// Hands `bytes` to the reader at once. Does nothing if the reader is gone.
    pub fn write(&self, bytes: BytesMut) {
        let reader = {
            let mut state = self.0.lock();
            if state.reader_gone {
                return;
            }
            // Joins without copying where both are parts of one allocation.
            state.ready.unsplit(bytes);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let reader = {
            let mut state = self.0.lock();
            state.writer_gone = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// A body that yields the written bytes, and never an error: an error of a body would be sent to the
/// client as text, under a status of 200.
#[derive(Debug)]
pub struct PipeBody(Arc<Pipe>);

impl Body for PipeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut state = self.0.lock();
        if !state.ready.is_empty() {
            let ready = std::mem::take(&mut state.ready).freeze();
            return Poll::Ready(Some(Ok(Frame::data(ready))));
        }
        if state.writer_gone {
            return Poll::Ready(None);
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            state.reader = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader_gone = true;
        state.ready = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    /// Nothing yet, the end, or a frame.
    #[expect(clippy::option_option, reason = "a future's and a stream's")]
    fn next(body: &mut PipeBody) -> Option<Option<String>> {
        let frame = body.frame().now_or_never()?;
        Some(
            frame.map(|frame| {
                String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap()
            }),
        )
    }

    #[test]
    fn a_reader_that_keeps_up_gets_every_write_by_itself() {
        let (writer, mut body) = pipe();
        for text in ["a", "b"] {
            writer.write(text.into());
            assert_eq!(next(&mut body), Some(Some(text.to_owned())));
        }
        assert_eq!(next(&mut body), None);
        drop(writer);
        assert_eq!(next(&mut body), Some(None));
    }

    #[test]
    fn buffered_writes_come_in_one_piece_and_before_the_end() {
        let (writer, mut body) = pipe();
        writer.write("a".into());
        writer.write("b".into());
        drop(writer);
        assert_eq!(next(&mut body), Some(Some("ab".to_owned())));
        assert_eq!(next(&mut body), Some(None));
    }

    #[test]
    fn writes_to_a_reader_that_is_gone_are_dropped() {
        let (writer, body) = pipe();
        writer.write("a".into());
        drop(body);
        writer.write("b".into());
        assert!(writer.0.lock().ready.is_empty());
    }
}
