//! What a model says, as it comes.

use std::time::Duration;

use reqwest::Response;
use shared_core::answer::ModelEvent;
use shared_core::failure::ModelFailure;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::chunk;
use crate::failure::Payer;
use crate::sse::SseParser;
use shared_core::causes;

/// Opening a connection anew takes about as long.
const LAST_CHUNK_WITHIN: Duration = Duration::from_millis(100);

/// A model's answer, being read. Dropping it hangs up, which stops most providers' billing.
#[derive(Debug)]
pub struct ModelStream {
    response: Response,
    payer: Payer,
    parser: SseParser,
    silence: Duration,
    received_at: Instant,
    heard_at: Instant,
}

/// What [`ModelStream::next`] came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Bytes came in, and `hear` was told what they said; it may have been nothing yet.
    Heard,
    /// Nothing came for as long as the caller wanted to wait.
    Quiet,
    /// The stream is over: by `[DONE]`, by an error, or because the connection ended.
    Ended,
}

impl ModelStream {
    pub(crate) fn new(response: Response, payer: Payer, silence: Duration) -> Self {
        let now = Instant::now();
        let parser = SseParser::default();
        Self { response, payer, parser, silence, received_at: now, heard_at: now }
    }

    /// Waits for more until `quiet` elapses, and tells `hear` all that has arrived, at once.
    ///
    /// A model that has said nothing for the configured silence, a connection that breaks, and bytes
    /// that are not the protocol are told as [`ModelEvent::Failed`]. The provider's comments keep
    /// its connection open, but are not the model's voice.
    pub async fn next(
        &mut self,
        quiet: std::pin::Pin<&mut Sleep>,
        hear: &mut impl FnMut(ModelEvent<'_>),
    ) -> Batch {
        let silent_at = self.heard_at + self.silence;
        let silent = silent_at <= quiet.deadline();
        let received = tokio::select! {
            biased;
            received = self.response.chunk() => received,
            () = sleep_until(silent_at), if silent => {
                hear(ModelEvent::Failed(ModelFailure::Silent));
                return Batch::Ended;
            }
            () = quiet, if !silent => return Batch::Quiet,
        };
        match received {
            Ok(Some(bytes)) => self.heard(&bytes, hear),
            Ok(None) => Batch::Ended,
            Err(error) => {
                tracing::warn!(error = causes(&error), "the provider's connection broke");
                hear(ModelEvent::Failed(ModelFailure::Broken));
                Batch::Ended
            }
        }
    }

    /// When the bytes came that [`Self::next`] told of last.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Reads what is left after the last event, so that the connection can be used again: it is a
    /// chunk of no bytes, and usually there already.
    pub async fn hang_up(mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        let _ = tokio::time::timeout(LAST_CHUNK_WITHIN, rest).await;
    }

    fn heard(&mut self, bytes: &[u8], hear: &mut impl FnMut(ModelEvent<'_>)) -> Batch {
        self.received_at = Instant::now();
        let (mut batch, mut spoke, payer) = (Batch::Heard, false, self.payer);
        let fed = self.parser.feed(bytes, |data| {
            spoke = true;
            let read = chunk::read(data, payer, &mut |event| {
                if matches!(event, ModelEvent::Done | ModelEvent::Failed(_)) {
                    batch = Batch::Ended;
                }
                hear(event);
            });
            if let Err(error) = read {
                // The error names a line and a column, never the text.
                tracing::warn!(
                    error.line = error.line(),
                    error.column = error.column(),
                    "the provider sent no JSON"
                );
                hear(ModelEvent::Failed(ModelFailure::Broken));
                batch = Batch::Ended;
            }
        });
        if fed.is_err() {
            hear(ModelEvent::Failed(ModelFailure::Broken));
            batch = Batch::Ended;
        }
        if spoke {
            self.heard_at = self.received_at;
        }
        batch
    }
}
