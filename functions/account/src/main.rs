//! The `account` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use account::{Deps, HealthCheck};
use shared_cache::{Cache, CacheConfig};
use shared_core::plans::Plans;
use shared_http::{
    AppContext, HttpConfig, SessionKeys, Tokens, serve_buffered, start, system_clock,
    system_entropy,
};
use shared_postgres::{Database, DatabaseConfig};

fn main() -> ExitCode {
    start(async |init| {
        let clock = system_clock();
        let database = Database::new(&DatabaseConfig::from_env(init.env())?, clock.clone())?;
        init.early(database.clone().warm());
        // Only the health check uses the cache.
        let cache = CacheConfig::from_env(init.env())?.located().await?;
        let serverless = cache.serverless.clone();
        let cache = Cache::new(&cache, clock.clone())?;
        let health_check = HealthCheck::new(database.clone(), cache, serverless, clock.clone());

        let env = init.with_secrets().await?;
        let origin = HttpConfig::from_env(&env)?;
        let tokens = Tokens::new(&SessionKeys::from_env(&env)?, &origin);
        let app = AppContext::new(&origin, clock, system_entropy());
        let plans = Arc::new(Plans::parse(include_str!("../../../plans.toml"))?);
        serve_buffered(account::app(Deps { app, tokens, database, plans, health_check })).await
    })
}
