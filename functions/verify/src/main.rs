//! The `verify` function on AWS Lambda.

use std::process::ExitCode;

use shared_cache::{Cache, Codes};
use shared_http::{AppContext, Tokens};
use shared_lambda::{serve_buffered, start, system_clock};
use shared_postgres::Database;
use verify::{Deps, app};

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
            codes: Codes::from_env(cache.clone(), &env)?,
            cache,
            database,
        };
        serve_buffered(app(deps)).await
    })
}
