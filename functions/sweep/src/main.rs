//! The `sweep` function on AWS Lambda.

use std::process::ExitCode;

use shared_cache::Cache;
use shared_cashfree::Cashfree;
use shared_files::Files;
use shared_inbox::Inbox;
use shared_lambda::{serve_events, start, system_clock, system_entropy};
use shared_openrouter::OpenRouter;
use shared_postgres::Jobs;
use shared_vault::Vault;
use sweep::Deps;

fn main() -> ExitCode {
    start(async |init| {
        let jobs = Jobs::from_env(init.env(), system_clock())?;
        init.early(jobs.clone().warm());
        let cache = Cache::from_env(init.env(), system_clock()).await?;

        let env = init.with_secrets().await?;
        let deps = Deps {
            cashfree: Cashfree::from_env(&env, system_clock())?,
            jobs,
            vault: Vault::from_env(&env, system_entropy())?,
            cache,
            inbox: Inbox::from_env(&env, &init.aws()?)?,
            files: Files::from_env(&env, &init.aws()?)?,
            openrouter: OpenRouter::from_env(&env)?,
            clock: system_clock(),
            entropy: system_entropy(),
        };
        serve_events(async |event| sweep::handle(&deps, event).await).await
    })
}
