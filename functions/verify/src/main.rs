//! The `verify` function on AWS Lambda.

use std::process::ExitCode;

use shared_cache::{Cache, CacheConfig, Codes, Pepper};
use shared_http::{
    AppContext, HttpConfig, SessionKeys, Tokens, serve_buffered, start, system_clock,
    system_entropy,
};
use shared_postgres::{Database, DatabaseConfig};

fn main() -> ExitCode {
    start(async |init| {
        let cache = CacheConfig::from_env(init.env())?.located().await?;
        let cache = Cache::new(&cache, system_clock())?;
        let database = Database::new(&DatabaseConfig::from_env(init.env())?, system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm());

        let env = init.with_secrets().await?;
        let origin = HttpConfig::from_env(&env)?;
        let tokens = Tokens::new(&SessionKeys::from_env(&env)?, &origin);
        let app = AppContext::new(&origin, system_clock(), system_entropy());
        let codes = Codes::new(cache.clone(), Pepper::from_env(&env)?);
        serve_buffered(verify::app(verify::Deps { app, tokens, cache, codes, database })).await
    })
}
