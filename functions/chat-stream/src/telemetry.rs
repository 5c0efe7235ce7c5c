//! What a turn leaves in the log and in CloudWatch: how long it took, and what it cost.

use shared_core::answer::Answer;
use shared_core::money::usd;
use shared_http::{ApiError, ErrorCode, Metric};
use shared_postgres::BegunTurn;
use tokio::time::Instant;

use crate::Deps;
use crate::generate::{StreamEnd, StreamResult};

/// When things happened.
pub(crate) struct Times {
    /// The question came.
    pub(crate) began: Instant,
    /// The provider accepted it.
    pub(crate) accepted: Instant,
}

/// Says how it went, once the model is done.
pub(crate) fn report(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    result: &StreamResult,
    times: &Times,
) {
    let usage = answer.usage().unwrap_or_default();
    let failure = match &result.end {
        StreamEnd::Failed(failure) => Some(failure),
        StreamEnd::Done | StreamEnd::Interrupted(_) => None,
    };
    let first_word = result.first_word.map(|at| at - times.began);
    tracing::info!(
        model = %begun.model,
        upstream.accepted_ms = (times.accepted - times.began).as_secs_f64() * 1e3,
        upstream.ttft_ms = first_word.map(|after| after.as_secs_f64() * 1e3),
        chunk.longest_delay_ms = result.longest_delay.as_secs_f64() * 1e3,
        duration_ms = times.began.elapsed().as_secs_f64() * 1e3,
        prompt_tokens = usage.prompt_tokens,
        completion_tokens = usage.completion_tokens,
        cost_nano_usd = usage.cost_nano_usd,
        byok = begun.payer.key().is_some(),
        failure = failure.map(tracing::field::display),
        interrupted = matches!(result.end, StreamEnd::Interrupted(_)),
        "the model is done",
    );
    let mut metrics = vec![
        Metric::time("ChunkDelay", result.longest_delay),
        Metric::count("PromptTokens", usage.prompt_tokens.into()),
        Metric::count("CompletionTokens", usage.completion_tokens.into()),
        Metric::count("TurnFailed", f64::from(u8::from(failure.is_some()))),
    ];
    // What the platform pays; a user's own key is its owner's.
    if begun.payer.key().is_none() {
        metrics.extend(usage.cost_nano_usd.map(|cost| Metric::usd("CostUsd", usd(cost))));
    }
    metrics.extend(first_word.map(|after| Metric::time("TimeToFirstByte", after)));
    deps.app.measure(&metrics, &[("model", begun.model.as_str())]);
}

/// Counts a turn that the provider would not begin; unless it is the user's own key that it would not take.
pub(crate) fn report_refusal(deps: &Deps, begun: &BegunTurn, error: &ApiError) {
    if matches!(error.code(), ErrorCode::KeyRefused | ErrorCode::KeyExhausted | ErrorCode::KeyBusy)
    {
        return;
    }
    let about = [("model", begun.model.as_str()), ("code", error.code().as_str())];
    deps.app.measure(&[Metric::one("TurnFailed")], &about);
}
