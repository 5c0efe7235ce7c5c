//! The sweep's schedule on one machine, and `POST /local/sweep`, which runs it at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use shared_http::{ApiError, ErrorCode};
use sweep::{Deps, SweepError, SweepReport};
use tokio::time::{MissedTickBehavior, interval};

/// The limit of one run, as on Lambda.
const WITHIN: Duration = Duration::from_secs(40);

/// Runs the sweep. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sweeper(Arc<Deps>);

impl Sweeper {
    /// A sweeper with the dependencies of the `sweep` function.
    pub fn new(deps: Deps) -> Self {
        Self(Arc::new(deps))
    }

    /// Sweeps now and after each `pause`, until the future is dropped.
    pub async fn every(&self, pause: Duration) -> Infallible {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.sweep().await {
                // Logs only runs that did something.
                Ok(swept) if !swept.did_something() => {}
                Ok(swept) => swept.log(),
                Err(error) => tracing::error!(%error, "the sweep failed and will be retried"),
            }
        }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new().route("/local/sweep", post(now)).with_state(self)
    }

    async fn sweep(&self) -> Result<SweepReport, SweepError> {
        sweep::sweep(&self.0, WITHIN).await
    }
}

/// Sweeps at once. The response shows the error's details, because only the developer can send this
/// request.
async fn now(State(sweeper): State<Sweeper>) -> Result<Json<SweepReport>, ApiError> {
    let swept = sweeper.sweep().await;
    swept.map(Json).map_err(|error| ApiError::new(ErrorCode::Unavailable, error))
}
