//! The `orders` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use orders::{Billing, Deps, app};
use shared_cache::Cache;
use shared_core::billing::Plans;
use shared_http::{AppContext, Tokens};
use shared_lambda::{serve_buffered, start, system_clock, system_entropy};
use shared_postgres::{Database, Payments};

fn main() -> ExitCode {
    start(async |init| {
        let cache = Cache::from_env(init.env(), system_clock()).await?;
        let database = Database::from_env(init.env(), system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm());
        let payments = Payments::from_env(init.env(), system_clock())?;

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            tokens: Tokens::from_env(&env)?,
            cache,
            database,
            payments,
            billing: Billing::from_env(&env, system_clock(), &system_entropy())?,
            plans: Arc::new(Plans::compiled_in()?),
        };
        serve_buffered(app(deps)).await
    })
}
