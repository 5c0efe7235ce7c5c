//! What is left behind, swept up.

use std::time::Duration;

use shared_core::credits::ORPHANED_AFTER;
use shared_http::system_entropy;
use shared_postgres::{DatabaseConfig, Jobs};
use sweep::{Deps, SweepReport, sweep};

use crate::TestStack;

impl TestStack {
    /// Sweeps now, in the database that `owner_url` leads to.
    pub async fn sweep(&self, owner_url: &str) -> SweepReport {
        let clock = self.clock.clock();
        let deps = Deps {
            jobs: Jobs::new(&DatabaseConfig::at(owner_url), clock.clone()).unwrap(),
            vault: self.vault(),
            cache: self.cache(),
            inbox: self.inbox(),
            openrouter: self.openrouter(),
            clock,
            entropy: system_entropy(),
        };
        sweep(&deps, Duration::from_mins(1)).await.unwrap()
    }

    /// Sweeps when every turn that is open now has died.
    pub async fn sweep_later(&self) -> SweepReport {
        self.clock.advance(ORPHANED_AFTER + Duration::from_mins(1));
        self.sweep(&self.owner_url()).await
    }
}
