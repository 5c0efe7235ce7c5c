//! The `sweep` function on AWS Lambda.

use std::process::ExitCode;

use shared_http::{serve_events, start, system_clock, system_entropy};
use shared_postgres::{DatabaseConfig, Jobs};
use shared_vault::{Vault, VaultConfig};

fn main() -> ExitCode {
    start(async |init| {
        let jobs = Jobs::new(&DatabaseConfig::from_env(init.env())?, system_clock())?;
        init.early(jobs.clone().warm());

        let env = init.with_secrets().await?;
        let vault = Vault::new(&VaultConfig::from_env(&env)?, system_entropy());
        let deps = sweep::Deps { jobs, vault, clock: system_clock(), entropy: system_entropy() };
        serve_events(async |event| sweep::handle(&deps, event).await).await
    })
}
