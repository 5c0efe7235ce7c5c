//! Speculative execution: the model is asked on a prediction of the turn, while Postgres still begins it.
//!
//! ```text
//!  postgres ──── prediction ─────────────── the turn has begun, or is refused
//!                    └─▶ openrouter is asked ──┴─▶ confirmed: its answer is read │ else: cancelled
//! ```
//!
//! A prediction decides nothing. Nothing of the answer is read before the turn has begun, so that a wrong
//! prediction costs at most the start of an upstream request (docs/decisions/0015).

use std::ops::ControlFlow;
use std::pin::Pin;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, ready, select};
use shared_cache::Permit;
use shared_lambda::Metric;
use shared_postgres::BegunTurn;
use tokio::time::{Duration, timeout};

use super::TurnContext;
use super::begin::Stored;
use super::files::TurnFiles;
use super::prepare::predicted_input;
use super::upstream::UpstreamRequest;
use crate::Deps;

/// How long a provider may work on a request whose turn has not begun. Postgres takes a few milliseconds, unless it waits
/// for a lock.
const UNCONFIRMED_FOR: Duration = Duration::from_millis(250);

/// A request to the provider that waits for its turn to begin. Dropping it cancels the request.
pub(super) struct Speculation {
    predicted: BegunTurn,
    request: UpstreamRequest,
}

/// Waits until the turn is stored, and asks the model meanwhile if `speculation` is prepared before that. Returns the
/// request if the turn has begun as predicted.
pub(super) async fn speculate(
    deps: &Deps,
    storing: BoxFuture<'_, Stored>,
    speculation: Pin<&mut impl Future<Output = Option<Speculation>>>,
) -> (Stored, Option<UpstreamRequest>) {
    let (speculation, storing) = match select(storing, speculation).await {
        Either::Left((stored, _)) => return (stored, None),
        Either::Right((None, storing)) => return (storing.await, None),
        Either::Right((Some(speculation), storing)) => (speculation, storing),
    };
    let (stored, speculation) = speculation.send_during(storing).await;
    let request = match (&stored, speculation) {
        (Ok(ControlFlow::Continue(begun)), Some(speculation)) => speculation.confirmed_by(begun),
        (Ok(_) | Err(_), _) => None,
    };
    if request.is_none() {
        report_cancelled(deps);
    }
    (stored, request)
}

impl Speculation {
    /// Prepares the request of a predicted turn, unless the turn is going to be refused.
    pub(super) async fn new(
        deps: &Deps,
        context: &TurnContext,
        predicted: BegunTurn,
        files: &TurnFiles,
        permit: &Permit,
    ) -> Option<Self> {
        let input = predicted_input(deps, &predicted, files, permit).await?;
        let request = UpstreamRequest::new(deps, context, &predicted, input);
        Some(Self { predicted, request })
    }

    /// Sends the request, unless `beginning` has ended already, and waits for `beginning`, not for the provider. Cancels
    /// the request if that takes longer than [`UNCONFIRMED_FOR`].
    async fn send_during<T>(self, mut beginning: BoxFuture<'_, T>) -> (T, Option<Self>) {
        let Self { predicted, request: UpstreamRequest { rate_limit, response } } = self;
        let begun_and_response = async {
            match select(&mut beginning, response).await {
                Either::Left((begun, response)) => (begun, response),
                Either::Right((response, beginning)) => (beginning.await, ready(response).boxed()),
            }
        };
        match timeout(UNCONFIRMED_FOR, begun_and_response).await {
            Ok((begun, response)) => {
                let request = UpstreamRequest { rate_limit, response };
                (begun, Some(Self { predicted, request }))
            }
            Err(_) => (beginning.await, None),
        }
    }

    /// Returns the request if `begun` has turned out as predicted.
    fn confirmed_by(self, begun: &BegunTurn) -> Option<UpstreamRequest> {
        begun.has_same_input(&self.predicted).then_some(self.request)
    }
}

/// Notes that a request was cancelled, or is about to be.
fn report_cancelled(deps: &Deps) {
    tracing::info!("cancelled a request to the provider: its turn was not begun as predicted");
    deps.app.measure(&[Metric::one("SpeculationCancelled")], &[]);
}
