//! A model's answer as a stream of events.

use std::time::Duration;

use reqwest::Response;
use shared_core::chat::ModelEvent;
use shared_core::models::ModelError;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::chunk;
use crate::error::KeyOwner;
use crate::sse::SseParser;
use shared_core::error_chain;

/// Timeout for the last chunk: opening a new connection takes about as long.
const LAST_CHUNK_WITHIN: Duration = Duration::from_millis(100);

/// A streamed answer. Dropping it cancels the request, which stops most providers' billing.
#[derive(Debug)]
pub struct ModelStream {
    response: Response,
    key_owner: KeyOwner,
    parser: SseParser,
    idle_timeout: Duration,
    received_at: Instant,
    last_event_at: Instant,
}

/// Result of [`ModelStream::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes arrived, and their events, if any are complete, were passed to `emit`.
    Events,
    /// Nothing arrived for as long as the caller wanted to wait.
    Idle,
    /// The stream is over: by `[DONE]`, by an error, or because the connection ended.
    End,
}

impl ModelStream {
    pub(crate) fn new(response: Response, key_owner: KeyOwner, idle_timeout: Duration) -> Self {
        let now = Instant::now();
        let parser = SseParser::default();
        Self { response, key_owner, parser, idle_timeout, received_at: now, last_event_at: now }
    }

    /// Waits for more until `quiet` elapses, and passes all events that have arrived to `emit`, at once.
    ///
    /// An exceeded idle timeout, a broken connection and a protocol violation are emitted as
    /// [`ModelEvent::Failed`]. The provider's comments keep its connection open, but do not reset the idle
    /// timeout.
    pub async fn next(
        &mut self,
        quiet: std::pin::Pin<&mut Sleep>,
        emit: &mut impl FnMut(ModelEvent<'_>),
    ) -> Received {
        let silent_at = self.last_event_at + self.idle_timeout;
        let silent = silent_at <= quiet.deadline();
        let received = tokio::select! {
            biased;
            received = self.response.chunk() => received,
            () = sleep_until(silent_at), if silent => {
                emit(ModelEvent::Failed(ModelError::IdleTimeout));
                return Received::End;
            }
            () = quiet, if !silent => return Received::Idle,
        };
        match received {
            Ok(Some(bytes)) => self.decode(&bytes, emit),
            Ok(None) => Received::End,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "the provider's connection broke");
                emit(ModelEvent::Failed(ModelError::Broken));
                Received::End
            }
        }
    }

    /// Arrival time of the bytes that [`Self::next`] read last.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Drains the response after the last event, so that the connection can be reused: what is left is an
    /// empty chunk that has usually arrived already.
    pub async fn hang_up(mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        let _ = tokio::time::timeout(LAST_CHUNK_WITHIN, rest).await;
    }

    fn decode(&mut self, bytes: &[u8], emit: &mut impl FnMut(ModelEvent<'_>)) -> Received {
        self.received_at = Instant::now();
        let (mut received, mut spoke, key_owner) = (Received::Events, false, self.key_owner);
        let fed = self.parser.feed(bytes, |data| {
            spoke = true;
            let read = chunk::read(data, key_owner, &mut |event| {
                if matches!(event, ModelEvent::Done | ModelEvent::Failed(_)) {
                    received = Received::End;
                }
                emit(event);
            });
            if let Err(error) = read {
                // The error names a line and a column, never the text.
                tracing::warn!(
                    error.line = error.line(),
                    error.column = error.column(),
                    "the provider sent malformed JSON"
                );
                emit(ModelEvent::Failed(ModelError::Broken));
                received = Received::End;
            }
        });
        if fed.is_err() {
            emit(ModelEvent::Failed(ModelError::Broken));
            received = Received::End;
        }
        if spoke {
            self.last_event_at = self.received_at;
        }
        received
    }
}
