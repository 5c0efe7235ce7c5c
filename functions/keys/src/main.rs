//! The `keys` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use keys::{Deps, app};
use shared_cache::Cache;
use shared_core::billing::Plans;
use shared_http::{AppContext, Tokens};
use shared_lambda::{serve_buffered, start, system_clock, system_entropy};
use shared_openrouter::OpenRouter;
use shared_postgres::Database;
use shared_vault::Vault;

fn main() -> ExitCode {
    start(async |init| {
        let cache = Cache::from_env(init.env(), system_clock()).await?;
        let database = Database::from_env(init.env(), system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm());

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            tokens: Tokens::from_env(&env)?,
            cache,
            database,
            openrouter: OpenRouter::from_env_without_key(&env)?,
            vault: Vault::from_env(&env, system_entropy())?,
            plans: Arc::new(Plans::compiled_in()?),
        };
        serve_buffered(app(deps)).await
    })
}
