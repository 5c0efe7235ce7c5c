//! The schedule of `sweep` on one machine, and `POST /local/sweep`, which does not wait for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use shared_http::{ApiError, ErrorCode};
use sweep::{Deps, SweepError, SweepReport};
use tokio::time::{MissedTickBehavior, interval};

/// A run may take no longer than it may on Lambda.
const WITHIN: Duration = Duration::from_secs(40);

/// Sweeps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sweeper(Arc<Deps>);

impl Sweeper {
    /// Sweeps with what the function of that name works with.
    pub fn new(deps: Deps) -> Self {
        Self(Arc::new(deps))
    }

    /// Sweeps now, and again after each `pause`, for as long as somebody waits for it.
    pub async fn every(&self, pause: Duration) -> Infallible {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.sweep().await {
                // Who watches the log wants to read of the other ones.
                Ok(swept) if !swept.did_something() => {}
                Ok(swept) => swept.log(),
                Err(error) => tracing::error!(%error, "sweeping failed, and will be tried again"),
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

/// On this machine, whoever asks is who wants to know what is wrong.
async fn now(State(sweeper): State<Sweeper>) -> Result<Json<SweepReport>, ApiError> {
    let swept = sweeper.sweep().await;
    swept.map(Json).map_err(|error| ApiError::new(ErrorCode::Unavailable, error))
}
