//! The `models` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use shared_core::catalogue::ModelTable;
use shared_http::{AppContext, HttpConfig, serve_buffered, start, system_clock, system_entropy};
use shared_openrouter::{OpenRouter, OpenRouterConfig};

fn main() -> ExitCode {
    start(async |init| {
        let env = init.with_secrets().await?;
        let app = AppContext::new(&HttpConfig::from_env(&env)?, system_clock(), system_entropy());
        let openrouter = OpenRouter::new(&OpenRouterConfig::from_env(&env)?)?;
        let table = Arc::new(ModelTable::parse(include_str!("../../../models.toml"))?);
        serve_buffered(models::app(models::Deps { app, openrouter, table })).await
    })
}
