//! The `keys` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use keys::Deps;
use shared_cache::{Cache, CacheConfig};
use shared_core::plans::Plans;
use shared_http::{
    AppContext, HttpConfig, SessionKeys, Tokens, serve_buffered, start, system_clock,
    system_entropy,
};
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use shared_postgres::{Database, DatabaseConfig};
use shared_vault::{Vault, VaultConfig};

fn main() -> ExitCode {
    start(async |init| {
        let cache = CacheConfig::from_env(init.env())?.located().await?;
        let cache = Cache::new(&cache, system_clock())?;
        let database = Database::new(&DatabaseConfig::from_env(init.env())?, system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm());

        let env = init.with_secrets().await?;
        let origin = HttpConfig::from_env(&env)?;
        let app = AppContext::new(&origin, system_clock(), system_entropy());
        let tokens = Tokens::new(&SessionKeys::from_env(&env)?, &origin);
        let openrouter = OpenRouter::new(&OpenRouterConfig::without_key(&env)?)?;
        let vault = Vault::new(&VaultConfig::from_env(&env)?, system_entropy());
        let plans = Arc::new(Plans::parse(include_str!("../../../plans.toml"))?);
        serve_buffered(keys::app(Deps { app, tokens, cache, database, openrouter, vault, plans }))
            .await
    })
}
