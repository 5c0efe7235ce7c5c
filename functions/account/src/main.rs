//! The `account` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use account::{Deps, HealthCheck, app};
use shared_cache::{Cache, Serverless};
use shared_core::billing::Plans;
use shared_http::{AppContext, Tokens};
use shared_lambda::{serve_buffered, start, system_clock};
use shared_postgres::Database;

fn main() -> ExitCode {
    start(async |init| {
        let database = Database::from_env(init.env(), system_clock())?;
        init.early(database.clone().warm());
        // Only the health check uses the cache.
        let cache = Cache::from_env(init.env(), system_clock()).await?;
        let serverless = Serverless::from_env(init.env())?;

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            tokens: Tokens::from_env(&env)?,
            health_check: HealthCheck::new(database.clone(), cache, serverless, system_clock()),
            database,
            plans: Arc::new(Plans::compiled_in()?),
        };
        serve_buffered(app(deps)).await
    })
}
