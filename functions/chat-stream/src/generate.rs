//! Listening to a model: each chunk is heard, told to the browser, and kept.

use shared_core::answer::{Answer, FinishReason, ModelEvent};
use shared_core::model_error::ModelError;
use shared_http::{Tasks, UiStream};
use shared_openrouter::{ModelStream, Received};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::writer::LogWriter;

/// Why no more is to be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The model was done.
    Done,
    /// It broke off.
    Failed(ModelError),
    /// The turn was cut short.
    Interrupted(Interruption),
}

/// Who cuts a turn short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The user, who has heard enough.
    Stop,
    /// This process, which is about to end.
    Shutdown,
}

/// Waits until somebody cuts the turn short.
pub(crate) async fn interrupted(writer: &LogWriter, tasks: &Tasks) -> Interruption {
    tokio::select! {
        () = writer.stop_requested() => Interruption::Stop,
        () = tasks.hurried() => Interruption::Shutdown,
    }
}

/// How listening to a model ended.
pub(crate) struct StreamResult {
    /// When its first word came, if it said any.
    pub(crate) first_word: Option<Instant>,
    /// The longest that anything it said was on its way through here.
    pub(crate) longest_delay: Duration,
    /// Why there is no more.
    pub(crate) end: StreamEnd,
}

impl StreamResult {
    pub(crate) fn nothing(end: StreamEnd) -> Self {
        Self { first_word: None, longest_delay: Duration::ZERO, end }
    }
}

/// When to go on, and when not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamTimeouts {
    /// A reader is told this often that the stream is still there.
    pub(crate) heartbeat: Duration,
    /// Whoever runs this is ended soon after, and what it holds would be lost.
    pub(crate) deadline: Instant,
}

/// Passes on what the model says until it is done, somebody cuts it short, or there is no more time.
#[tracing::instrument(target = "otel", skip_all)]
pub(crate) async fn generate(
    stream: &mut ModelStream,
    answer: &mut Answer,
    out: &mut UiStream,
    writer: &LogWriter,
    interrupted: impl Future<Output = Interruption>,
    StreamTimeouts { heartbeat, deadline }: StreamTimeouts,
) -> StreamResult {
    let mut result = StreamResult::nothing(StreamEnd::Done);
    let mut failure = None;
    let quiet = sleep(heartbeat);
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
        let is_told = out.flush();
        let now = Instant::now();
        if is_told {
            quiet.as_mut().reset(now + heartbeat);
            result.longest_delay = result.longest_delay.max(now - stream.received_at());
        }
        if result.first_word.is_none() && !answer.is_empty() {
            result.first_word = Some(now);
        }
    }
    match answer.finish_reason() {
        // A stream that just stops, without the model's word that it is done, was cut.
        None | Some(FinishReason::Error) => _ = failure.get_or_insert(ModelError::Broken),
        // With its word, the answer is whole, whatever became of the connection after it.
        Some(_) => failure = None,
    }
    result.end = failure.map_or(StreamEnd::Done, StreamEnd::Failed);
    result
}
