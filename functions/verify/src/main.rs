//! The `verify` function on AWS Lambda.

use std::process::ExitCode;

use shared_cache::{Cache, CacheConfig, Codes, Pepper};
use shared_http::{Edge, EdgeConfig, serve_buffered, start, system_clock, system_entropy};
use shared_postgres::{Database, DatabaseConfig};

fn main() -> ExitCode {
    start(async |env| {
        let edge = Edge::new(&EdgeConfig::from_env(&env)?, system_clock(), system_entropy());
        let cache = Cache::new(&CacheConfig::from_env(&env)?)?;
        let codes = Codes::new(cache.clone(), Pepper::from_env(&env)?);
        let database = Database::new(&DatabaseConfig::from_env(&env)?)?;
        serve_buffered(verify::app(verify::Deps { edge, cache, codes, database })).await
    })
}
