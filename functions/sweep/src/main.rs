//! The `sweep` function on AWS Lambda.

use std::process::ExitCode;

use shared_aws::Aws;
use shared_cache::{Cache, CacheConfig};
use shared_http::{serve_events, start, system_clock, system_entropy};
use shared_inbox::{Inbox, InboxConfig};
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use shared_postgres::{DatabaseConfig, Jobs};
use shared_vault::{Vault, VaultConfig};

fn main() -> ExitCode {
    start(async |init| {
        let jobs = Jobs::new(&DatabaseConfig::from_env(init.env())?, system_clock())?;
        init.early(jobs.clone().warm());

        let cache = CacheConfig::from_env(init.env())?.located().await?;
        let cache = Cache::new(&cache, system_clock())?;

        let env = init.with_secrets().await?;
        let deps = sweep::Deps {
            jobs,
            vault: Vault::new(&VaultConfig::from_env(&env)?, system_entropy()),
            cache,
            inbox: Inbox::new(&InboxConfig::from_env(&env)?, &Aws::from_env(&env)?),
            openrouter: OpenRouter::new(&OpenRouterConfig::from_env(&env)?)?,
            clock: system_clock(),
            entropy: system_entropy(),
        };
        serve_events(async |event| sweep::handle(&deps, event).await).await
    })
}
