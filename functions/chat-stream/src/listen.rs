//! Listening to a model: each chunk is heard, told to the browser, and kept.

use shared_core::answer::{Answer, FinishReason, ModelEvent};
use shared_core::failure::ModelFailure;
use shared_http::{Tasks, UiStream};
use shared_openrouter::{Batch, ModelStream};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::recorder::Recorder;

/// Why no more is to be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The model was done.
    Done,
    /// It broke off.
    Failed(ModelFailure),
    /// The turn was cut short.
    Cut(Cut),
}

/// Who cuts a turn short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The user, who has heard enough.
    Stopped,
    /// This process, which is about to end.
    Interrupted,
}

/// Waits until somebody cuts the turn short.
pub(crate) async fn cut_short(recorder: &Recorder, tasks: &Tasks) -> Cut {
    tokio::select! {
        () = recorder.asked_to_stop() => Cut::Stopped,
        () = tasks.hurried() => Cut::Interrupted,
    }
}

/// How listening to a model ended.
pub(crate) struct Heard {
    /// When its first word came, if it said any.
    pub(crate) first_word: Option<Instant>,
    /// The longest that anything it said was on its way through here.
    pub(crate) longest_delay: Duration,
    /// Why there is no more.
    pub(crate) end: End,
}

impl Heard {
    pub(crate) fn nothing(end: End) -> Self {
        Self { first_word: None, longest_delay: Duration::ZERO, end }
    }
}

/// When to go on, and when not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A reader is told this often that the stream is still there.
    pub(crate) heartbeat: Duration,
    /// Whoever runs this is ended soon after, and what it holds would be lost.
    pub(crate) deadline: Instant,
}

/// Passes on what the model says until it is done, somebody cuts it short, or there is no more time.
#[tracing::instrument(target = "otel", skip_all)]
pub(crate) async fn listen(
    stream: &mut ModelStream,
    answer: &mut Answer,
    out: &mut UiStream,
    recorder: &Recorder,
    cut_short: impl Future<Output = Cut>,
    Patience { heartbeat, deadline }: Patience,
) -> Heard {
    let mut heard = Heard::nothing(End::Done);
    let mut failure = None;
    let quiet = sleep(heartbeat);
    let late = sleep_until(deadline);
    tokio::pin!(quiet, cut_short, late);
    loop {
        let mut hear = |event: ModelEvent<'_>| {
            answer.hear(&event, &mut |event| out.event(&event));
            if let ModelEvent::Identified { generation, .. } = event {
                recorder.identify(generation);
            } else if let ModelEvent::Failed(reason) = event {
                failure.get_or_insert(reason);
            }
        };
        let batch = tokio::select! {
            biased;
            cut = &mut cut_short => {
                heard.end = End::Cut(cut);
                return heard;
            }
            () = &mut late => {
                failure.get_or_insert(ModelFailure::OutOfTime);
                break;
            }
            batch = stream.next(quiet.as_mut(), &mut hear) => batch,
        };
        match batch {
            Batch::Heard => {}
            Batch::Quiet => out.comment(),
            Batch::Ended => break,
        }
        let is_told = out.flush();
        let now = Instant::now();
        if is_told {
            quiet.as_mut().reset(now + heartbeat);
            heard.longest_delay = heard.longest_delay.max(now - stream.received_at());
        }
        if heard.first_word.is_none() && !answer.is_empty() {
            heard.first_word = Some(now);
        }
    }
    match answer.finish_reason() {
        // A stream that just stops, without the model's word that it is done, was cut.
        None | Some(FinishReason::Error) => _ = failure.get_or_insert(ModelFailure::Broken),
        // With its word, the answer is whole, whatever became of the connection after it.
        Some(_) => failure = None,
    }
    heard.end = failure.map_or(End::Done, End::Failed);
    heard
}
