//! The `chat-stream` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use chat_stream::{ChatConfig, Deps, app};
use shared_cache::{Cache, CacheConfig};
use shared_core::catalogue::ModelTable;
use shared_core::env::ConfigError;
use shared_http::{
    Edge, EdgeConfig, SessionKeys, Tasks, Tokens, serve_streaming, start, system_clock,
    system_entropy,
};
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use shared_postgres::{Database, DatabaseConfig};

fn main() -> ExitCode {
    start(async |env| {
        let table = ModelTable::parse(include_str!("../../../models.toml"));
        let origin = EdgeConfig::from_env(&env)?;
        let deps = Deps {
            edge: Edge::new(&origin, system_clock(), system_entropy()),
            tokens: Tokens::new(&SessionKeys::from_env(&env)?, &origin),
            cache: Cache::new(&CacheConfig::from_env(&env)?)?,
            database: Database::new(&DatabaseConfig::from_env(&env)?)?,
            openrouter: OpenRouter::new(&OpenRouterConfig::from_env(&env)?)?,
            table: Arc::new(table.map_err(|error| ConfigError::new("models.toml", error))?),
            tasks: Tasks::default(),
            config: Arc::new(ChatConfig::from_env(&env)?),
        };
        let (tasks, early) = (deps.tasks.clone(), deps.clone());
        tasks.spawn(async move { early.warm().await });
        serve_streaming(app(deps), &tasks).await
    })
}
