//! A turn's log line and CloudWatch metrics: its latencies, tokens and cost.

use shared_core::billing::usd;
use shared_core::chat::Answer;
use shared_http::{ApiError, ErrorCode};
use shared_lambda::Metric;
use shared_postgres::BegunTurn;
use tokio::time::Instant;

use super::generate::{StreamEnd, StreamResult};
use crate::Deps;

/// The times of a turn.
pub(super) struct Times {
    /// The question arrived.
    pub(super) began: Instant,
    /// The provider accepted it.
    pub(super) accepted: Instant,
}

/// Logs and measures a turn once the model's stream has ended.
pub(super) fn report(
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
        "the model's stream has ended",
    );
    let mut metrics = vec![
        Metric::time("ChunkDelay", result.longest_delay),
        Metric::count("PromptTokens", usage.prompt_tokens.into()),
        Metric::count("CompletionTokens", usage.completion_tokens.into()),
        Metric::count("TurnFailed", f64::from(u8::from(failure.is_some()))),
    ];
    // Only the platform's cost; with BYOK the user pays.
    if begun.payer.key().is_none() {
        metrics.extend(usage.cost_nano_usd.map(|cost| Metric::usd("CostUsd", usd(cost))));
    }
    metrics.extend(first_word.map(|after| Metric::time("TimeToFirstByte", after)));
    deps.app.measure(&metrics, &[("model", begun.model.as_str())]);
}

/// Counts a turn that the provider refused, unless it refused the user's own key (BYOK).
pub(super) fn report_refusal(deps: &Deps, begun: &BegunTurn, error: &ApiError) {
    if matches!(error.code(), ErrorCode::KeyRefused | ErrorCode::KeyExhausted | ErrorCode::KeyBusy)
    {
        return;
    }
    let about = [("model", begun.model.as_str()), ("code", error.code().as_str())];
    deps.app.measure(&[Metric::one("TurnFailed")], &about);
}
