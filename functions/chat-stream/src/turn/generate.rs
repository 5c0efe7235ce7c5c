//! Streams a model's answer: each chunk is parsed, sent to the browser, and kept.

use shared_core::chat::{Answer, FinishReason, ModelEvent};
use shared_core::models::ModelError;
use shared_lambda::Tasks;
use shared_openrouter::{ModelStream, Received};
use shared_ui_stream::UiStream;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::live::writer::LogWriter;

/// Why the model's stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The model finished.
    Done,
    /// The model or the provider failed, or the deadline passed.
    Failed(ModelError),
    /// The turn was interrupted.
    Interrupted(Interruption),
}

/// The cause of an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// The user stopped the answer.
    Stop,
    /// This process is shutting down.
    Shutdown,
}

/// Waits for a stop request or the shutdown of this process.
pub(super) async fn interrupted(writer: &LogWriter, tasks: &Tasks) -> Interruption {
    tokio::select! {
        () = writer.stop_requested() => Interruption::Stop,
        () = tasks.shutdown_requested() => Interruption::Shutdown,
    }
}

/// The outcome of a model's stream.
pub(super) struct StreamResult {
    /// When its first output came, if any.
    pub(super) first_word: Option<Instant>,
    /// The longest time from receiving a chunk to sending it on.
    pub(super) longest_delay: Duration,
    /// Why it ended.
    pub(super) end: StreamEnd,
}

impl StreamResult {
    pub(super) fn nothing(end: StreamEnd) -> Self {
        Self { first_word: None, longest_delay: Duration::ZERO, end }
    }
}

/// The keep-alive interval and the deadline of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTimeouts {
    /// The interval of keep-alive comments in a quiet stream.
    pub(super) keep_alive: Duration,
    /// Lambda kills the function instance soon after, and unsaved output would be lost.
    pub(super) deadline: Instant,
}

/// Forwards the model's events until it finishes, the turn is interrupted, or the deadline passes.
#[tracing::instrument(target = "otel", skip_all)]
pub(super) async fn generate(
    stream: &mut ModelStream,
    answer: &mut Answer,
    out: &mut UiStream,
    writer: &LogWriter,
    interrupted: impl Future<Output = Interruption>,
    StreamTimeouts { keep_alive, deadline }: StreamTimeouts,
) -> StreamResult {
    let mut result = StreamResult::nothing(StreamEnd::Done);
    let mut failure = None;
    let quiet = sleep(keep_alive);
    let late = sleep_until(deadline);
    tokio::pin!(quiet, interrupted, late);
    loop {
        let mut apply = |event: ModelEvent<'_>| {
            answer.apply(&event, &mut |event| out.event(&event));
            if let ModelEvent::Identified { generation, .. } = event {
                writer.identify(generation);
            } else if let ModelEvent::Failed(reason) = event {
                failure.get_or_insert(reason);
            }
        };
        let received = tokio::select! {
            biased;
            cut = &mut interrupted => {
                result.end = StreamEnd::Interrupted(cut);
                return result;
            }
            () = &mut late => {
                failure.get_or_insert(ModelError::OutOfTime);
                break;
            }
            received = stream.next(quiet.as_mut(), &mut apply) => received,
        };
        match received {
            Received::Events => {}
            Received::Idle => out.comment(),
            Received::End => break,
        }
        let is_flushed = out.flush();
        let now = Instant::now();
        if is_flushed {
            quiet.as_mut().reset(now + keep_alive);
            result.longest_delay = result.longest_delay.max(now - stream.received_at());
        }
        if result.first_word.is_none() && !answer.is_empty() {
            result.first_word = Some(now);
        }
    }
    match answer.finish_reason() {
        // A stream that ends without a finish reason was truncated.
        None | Some(FinishReason::Error) => _ = failure.get_or_insert(ModelError::Broken),
        // With a finish reason the answer is complete, even if the connection failed afterwards.
        Some(_) => failure = None,
    }
    result.end = failure.map_or(StreamEnd::Done, StreamEnd::Failed);
    result
}
