//! The `chat-stream` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use chat_stream::{ChatConfig, Deps, app};
use shared_cache::Cache;
use shared_core::{billing::Plans, models::ModelTable};
use shared_files::Files;
use shared_http::{AppContext, Tokens};
use shared_inbox::Inbox;
use shared_lambda::{serve_streaming, start, system_clock, system_entropy};
use shared_openrouter::{Catalogue, OpenRouter};
use shared_postgres::Database;
use shared_vault::Vault;

fn main() -> ExitCode {
    start(async |init| {
        let cache = Cache::from_env(init.env(), system_clock()).await?;
        let database = Database::from_env(init.env(), system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm_for_turns());
        let env = init.with_secrets().await?;
        let openrouter = OpenRouter::from_env(&env)?;
        init.tasks().spawn(openrouter.clone().warm());
        let (aws, table) = (init.aws()?, Arc::new(ModelTable::compiled_in()?));
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            tokens: Tokens::from_env(&env)?,
            cache,
            database,
            inbox: Inbox::from_env(&env, &aws)?,
            files: Files::from_env(&env, &aws)?,
            catalogue: Arc::new(Catalogue::new(openrouter.clone(), Arc::clone(&table))),
            openrouter,
            table,
            plans: Arc::new(Plans::compiled_in()?),
            vault: Vault::from_env(&env, system_entropy())?,
            tasks: init.tasks().clone(),
            config: Arc::new(ChatConfig::from_env(&env)?),
        };
        serve_streaming(app(deps), init.tasks()).await
    })
}
