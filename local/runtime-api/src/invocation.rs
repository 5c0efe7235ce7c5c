//! One invocation, as the caller of a function sees it.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc};

use crate::response::{LambdaResponse, Malformed};

/// An event that was handed in, and the answer that comes of it.
///
/// Dropped, it runs on and its answer is thrown away: Lambda does the same when a client hangs up.
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
    /// When the read returned that brought the last of them. Chunks that came in one write, or that
    /// the kernel held until they fitted into one packet, have the same time.
    pub arrived: Instant,
}

/// Why there is no answer, or no end of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvocationError {
    /// The function answered with an error, or ended a stream with one.
    #[error("the function failed: {0}")]
    Function(FunctionError),
    /// The environment is gone, without a word.
    #[error("the function exited before it answered")]
    Left,
    /// The connection ended in the middle of the answer: the function exited, or
    /// [`Invocation::break_stream`] was called.
    #[error("the answer broke off")]
    BrokeOff,
    /// The answer is not what a gateway takes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What a function says when it fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {}", String::from_utf8_lossy(.body))]
pub struct FunctionError {
    /// `Lambda-Runtime-Function-Error-Type`.
    pub kind: String,
    /// `{"errorType", "errorMessage"}`; in base64, if it came as a trailer.
    pub body: Bytes,
}

impl Invocation {
    /// The id under which the function knows the invocation.
    pub fn request_id(&self) -> &str {
        &self.id
    }

    /// The next chunk of the answer, or nothing when it is complete.
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

    /// Reads what is left of the answer, whatever it is.
    pub async fn bytes(&mut self) -> Result<Bytes, InvocationError> {
        let mut answer = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            answer.extend_from_slice(&chunk.bytes);
        }
        Ok(answer.freeze())
    }

    /// Reads what is left of the answer, as a gateway reads it; for one of which nothing was read yet.
    pub async fn collect(mut self) -> Result<LambdaResponse, InvocationError> {
        let answer = self.bytes().await?;
        Ok(if self.streamed {
            LambdaResponse::from_streamed(&answer)?
        } else {
            LambdaResponse::from_buffered(&answer)?
        })
    }

    /// Closes the connection that the answer comes by, now or as soon as it begins. What has arrived
    /// until then can still be read.
    pub fn break_stream(&self) {
        self.broken.notify_one();
    }
}

/// What the connection tells.
#[derive(Debug)]
enum Part {
    Begun { streamed: bool },
    Chunk(Chunk),
    End(Result<(), InvocationError>),
}

/// The side of an invocation that is answered. Dropped before [`Running::end`], it broke off.
pub(crate) struct Running {
    parts: mpsc::UnboundedSender<Part>,
    broken: Arc<Notify>,
}

/// The two sides of an invocation. Whether anybody still reads does not matter to the second.
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

    /// Waits until somebody wants the stream broken.
    pub(crate) async fn broken(&self) {
        self.broken.notified().await;
    }
}
