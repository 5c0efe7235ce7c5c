//! One invocation, as the caller of a function sees it.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc};

use crate::response::{LambdaResponse, Malformed};

/// A submitted event, and its answer.
///
/// Dropping it lets the function run on and discards the answer, as Lambda does when a client disconnects.
#[derive(Debug)]
pub struct Invocation {
    id: String,
    parts: mpsc::UnboundedReceiver<Part>,
    broken: Arc<Notify>,
    streamed: bool,
}

/// Bytes that a function sent in one piece: an HTTP chunk of a streamed answer, or what one read of
/// the socket found of a buffered one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Bytes,
    /// When the read that completed them returned. Chunks that came in one write, or that the kernel joined
    /// into one packet, have the same time.
    pub arrived: Instant,
}

/// Why an answer is missing or incomplete.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvocationError {
    /// The function responded with an error, or ended a stream with one.
    #[error("the function failed: {0}")]
    Function(FunctionError),
    /// The environment disconnected without an answer.
    #[error("the function exited before it answered")]
    Left,
    /// The connection ended in the middle of the answer: the function exited, or
    /// [`Invocation::break_stream`] was called.
    #[error("the answer broke off")]
    BrokeOff,
    /// A gateway would reject the answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The error that a function reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {}", String::from_utf8_lossy(.body))]
pub struct FunctionError {
    /// `Lambda-Runtime-Function-Error-Type`.
    pub kind: String,
    /// `{"errorType", "errorMessage"}`; in base64, if it came as a trailer.
    pub body: Bytes,
}

impl Invocation {
    /// The request id that the function received.
    pub fn request_id(&self) -> &str {
        &self.id
    }

    /// Returns the next chunk of the answer; `None` when it is complete.
    ///
    /// A streamed answer begins with the prelude (JSON), eight NUL bytes, and then the body.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, InvocationError> {
        loop {
            return match self.parts.recv().await {
                Some(Part::Begun { streamed }) => {
                    self.streamed = streamed;
                    continue;
                }
                Some(Part::Chunk(chunk)) => Ok(Some(chunk)),
                Some(Part::End(end)) => end.map(|()| None),
                None => Err(InvocationError::BrokeOff),
            };
        }
    }

    /// Reads the rest of the answer, unparsed.
    pub async fn bytes(&mut self) -> Result<Bytes, InvocationError> {
        let mut answer = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            answer.extend_from_slice(&chunk.bytes);
        }
        Ok(answer.freeze())
    }

    /// Reads the whole answer and parses it as a gateway does; no chunk may have been read before.
    pub async fn collect(mut self) -> Result<LambdaResponse, InvocationError> {
        let answer = self.bytes().await?;
        Ok(if self.streamed {
            LambdaResponse::from_streamed(&answer)?
        } else {
            LambdaResponse::from_buffered(&answer)?
        })
    }

    /// Closes the connection that carries the answer, now or as soon as it begins. Chunks that have arrived
    /// by then can still be read.
    pub fn break_stream(&self) {
        self.broken.notify_one();
    }
}

/// A message from the connection to the invocation.
#[derive(Debug)]
enum Part {
    Begun { streamed: bool },
    Chunk(Chunk),
    End(Result<(), InvocationError>),
}

/// The answering side of an invocation. Dropping it before [`Running::end`] breaks the answer off.
pub(crate) struct Running {
    parts: mpsc::UnboundedSender<Part>,
    broken: Arc<Notify>,
}

/// Returns the two sides of an invocation. `Running` ignores a closed channel: the reader may be gone.
pub(crate) fn invocation(id: String) -> (Invocation, Running) {
    let (sender, parts) = mpsc::unbounded_channel();
    let broken = Arc::new(Notify::new());
    let running = Running { parts: sender, broken: Arc::clone(&broken) };
    let invocation = Invocation { id, parts, broken, streamed: false };
    (invocation, running)
}

impl Running {
    pub(crate) fn begin(&self, streamed: bool) {
        let _ = self.parts.send(Part::Begun { streamed });
    }

    pub(crate) fn chunk(&self, chunk: Chunk) {
        let _ = self.parts.send(Part::Chunk(chunk));
    }

    pub(crate) fn end(self, end: Result<(), InvocationError>) {
        let _ = self.parts.send(Part::End(end));
    }

    /// Waits until [`Invocation::break_stream`] is called.
    pub(crate) async fn broken(&self) {
        self.broken.notified().await;
    }
}
