//! The `chat-stream` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use chat_stream::{ChatConfig, Deps, app};
use shared_cache::{Cache, CacheConfig};
use shared_core::catalogue::ModelTable;
use shared_core::plans::Plans;
use shared_http::{
    AppContext, HttpConfig, SessionKeys, Tokens, serve_streaming, start, system_clock,
    system_entropy,
};
use shared_inbox::{Inbox, InboxConfig};
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use shared_postgres::{Database, DatabaseConfig};
use shared_vault::{Vault, VaultConfig};

fn main() -> ExitCode {
    start(async |init| {
        let cache = CacheConfig::from_env(init.env())?.located().await?;
        let cache = Cache::new(&cache, system_clock())?;
        let database = Database::new(&DatabaseConfig::from_env(init.env())?, system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm_for_turns());

        let env = init.with_secrets().await?;
        let openrouter = OpenRouter::new(&OpenRouterConfig::from_env(&env)?)?;
        init.tasks().spawn(openrouter.clone().warm());

        let origin = HttpConfig::from_env(&env)?;
        let deps = Deps {
            app: AppContext::new(&origin, system_clock(), system_entropy()),
            tokens: Tokens::new(&SessionKeys::from_env(&env)?, &origin),
            cache,
            database,
            inbox: Inbox::new(&InboxConfig::from_env(&env)?, &init.aws()?),
            openrouter,
            table: Arc::new(ModelTable::parse(include_str!("../../../models.toml"))?),
            plans: Arc::new(Plans::parse(include_str!("../../../plans.toml"))?),
            vault: Vault::new(&VaultConfig::from_env(&env)?, system_entropy()),
            tasks: init.tasks().clone(),
            config: Arc::new(ChatConfig::from_env(&env)?),
        };
        serve_streaming(app(deps), init.tasks()).await
    })
}
