//! Listening to a model: each chunk is heard, told to the browser, and kept.

use shared_core::answer::{Answer, FinishReason, ModelEvent};
use shared_core::failure::ModelFailure;
use shared_http::UiStream;
use shared_openrouter::{Batch, ModelStream};
use tokio::time::{Duration, Instant, sleep};

/// How listening to a model ended.
pub(crate) struct Heard {
    /// When its first word came, if it said any.
    pub(crate) first_word: Option<Instant>,
    /// The longest that anything it said was on its way through here.
    pub(crate) longest_delay: Duration,
    /// Why it broke off, if it did.
    pub(crate) failure: Option<ModelFailure>,
}

/// Passes on what the model says until it is done, or there is no more time.
#[tracing::instrument(target = "otel", skip_all)]
pub(crate) async fn listen(
    stream: &mut ModelStream,
    answer: &mut Answer,
    out: &mut UiStream,
    heartbeat: Duration,
    deadline: Instant,
) -> Heard {
    let mut heard = Heard { first_word: None, longest_delay: Duration::ZERO, failure: None };
    let quiet = sleep(heartbeat);
    tokio::pin!(quiet);
    loop {
        let mut hear = |event: ModelEvent<'_>| {
            answer.hear(&event, &mut |event| out.event(&event));
            if let ModelEvent::Failed(reason) = event {
                heard.failure.get_or_insert(reason);
            }
        };
        match stream.next(quiet.as_mut(), &mut hear).await {
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
        // Whoever runs this is ended soon after, and what it holds would be lost.
        if now >= deadline {
            heard.failure.get_or_insert(ModelFailure::OutOfTime);
            break;
        }
    }
    match answer.finish_reason() {
        // A stream that just stops, without the model's word that it is done, was cut.
        None | Some(FinishReason::Error) => {
            heard.failure.get_or_insert(ModelFailure::Broken);
        }
        // With its word, the answer is whole, whatever became of the connection after it.
        Some(_) => heard.failure = None,
    }
    heard
}
