//! The `presign` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use presign::{Deps, app};
use shared_cache::Cache;
use shared_core::billing::Plans;
use shared_files::Files;
use shared_http::{AppContext, Tokens};
use shared_lambda::{serve_buffered, start, system_clock};
use shared_postgres::Database;

fn main() -> ExitCode {
    start(async |init| {
        let cache = Cache::from_env(init.env(), system_clock()).await?;
        let database = Database::from_env(init.env(), system_clock())?;
        init.early(cache.clone().warm());
        init.early(database.clone().warm());

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            tokens: Tokens::from_env(&env)?,
            cache,
            database,
            files: Files::from_env(&env, &init.aws()?)?,
            plans: Arc::new(Plans::compiled_in()?),
        };
        serve_buffered(app(deps)).await
    })
}
