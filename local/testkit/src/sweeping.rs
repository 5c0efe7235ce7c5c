//! Runs the sweep in tests.

use std::time::Duration;

use shared_core::chat::ORPHANED_AFTER;
use shared_lambda::system_entropy;
use shared_postgres::{DatabaseConfig, Jobs};
use sweep::{Deps, SweepReport, sweep};

use crate::TestStack;

impl TestStack {
    /// Sweeps now, as the role of `owner_url`.
    pub async fn sweep(&self, owner_url: &str) -> SweepReport {
        let clock = self.clock.clock();
        let deps = Deps {
            jobs: Jobs::new(&DatabaseConfig::at(owner_url), clock.clone()).unwrap(),
            cashfree: self.cashfree_client(),
            vault: self.vault(),
            cache: self.cache(),
            inbox: self.inbox(),
            files: self.files(),
            openrouter: self.openrouter(),
            clock,
            entropy: system_entropy(),
        };
        sweep(&deps, Duration::from_mins(1)).await.unwrap()
    }

    /// Sweeps at a time when every turn that is open now is orphaned.
    pub async fn sweep_later(&self) -> SweepReport {
        self.clock.advance(ORPHANED_AFTER + Duration::from_mins(1));
        self.sweep(&self.owner_url()).await
    }
}
