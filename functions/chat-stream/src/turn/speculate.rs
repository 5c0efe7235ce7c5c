//! Speculative execution: the model is asked on a prediction of the turn, while Postgres still begins it.
//!
//! ```text
//!  postgres ──── prediction ─────────────── the turn has begun, or is refused
//!                    └─▶ openrouter is asked ──┴─▶ confirmed: its answer is read │ else: cancelled
//! ```
//!
//! A prediction decides nothing. Nothing of the answer is read before the turn has begun, so that a wrong
//! prediction costs at most the start of an upstream request (docs/decisions/0015).

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, ready, select};
use shared_cache::Permit;
use shared_lambda::Metric;
use shared_postgres::BegunTurn;

use super::TurnContext;
use super::prepare::predicted_input;
use super::upstream::UpstreamRequest;
use crate::Deps;

/// A request to the provider that waits for its turn to begin. Dropping it cancels the request.
pub(super) struct Speculation {
    predicted: BegunTurn,
    request: UpstreamRequest,
}

impl Speculation {
    /// Prepares the request of a predicted turn, unless the turn is going to be refused.
    pub(super) async fn new(
        deps: &Deps,
        context: &TurnContext,
        predicted: BegunTurn,
        permit: &Permit,
    ) -> Option<Self> {
        let input = predicted_input(deps, &predicted, permit).await?;
        let request = UpstreamRequest::new(deps, context, &predicted, input);
        Some(Self { predicted, request })
    }

    /// Sends the request, and waits for `beginning`, not for the provider.
    pub(super) async fn send_during<T>(mut self, beginning: impl Future<Output = T>) -> (T, Self) {
        let (response, begun) = meanwhile(self.request.response, beginning).await;
        self.request.response = response;
        (begun, self)
    }

    /// Returns the request if `begun` has turned out as predicted; cancels it otherwise, or if no turn has begun.
    pub(super) fn confirm(self, deps: &Deps, begun: Option<&BegunTurn>) -> Option<UpstreamRequest> {
        if begun.is_some_and(|begun| begun.has_same_input(&self.predicted)) {
            return Some(self.request);
        }
        tracing::info!(
            is_refused = begun.is_none(),
            "cancelled a request to the provider: the turn is not the predicted one"
        );
        deps.app.measure(&[Metric::one("SpeculationCancelled")], &[]);
        None
    }
}

/// Polls `work` to its end, and `waiting` meanwhile.
pub(super) async fn meanwhile<'a, W, T>(
    waiting: BoxFuture<'a, W>,
    work: impl Future<Output = T>,
) -> (BoxFuture<'a, W>, T)
where
    W: Send + 'a,
{
    tokio::pin!(work);
    match select(waiting, work).await {
        Either::Left((ended, work)) => (ready(ended).boxed(), work.await),
        Either::Right((result, waiting)) => (waiting, result),
    }
}
