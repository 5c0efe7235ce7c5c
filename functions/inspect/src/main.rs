//! The `inspect` function on AWS Lambda.

use std::process::ExitCode;

use inspect::{Deps, app};
use shared_files::Files;
use shared_http::{AppContext, Tokens};
use shared_lambda::{serve_buffered, start, system_clock};
use shared_postgres::Database;

fn main() -> ExitCode {
    start(async |init| {
        let database = Database::from_env(init.env(), system_clock())?;
        init.early(database.clone().warm());

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            tokens: Tokens::from_env(&env)?,
            database,
            files: Files::from_env(&env, &init.aws()?)?,
        };
        serve_buffered(app(deps)).await
    })
}
