//! The `models` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use models::{Deps, app};
use shared_core::models::ModelTable;
use shared_http::AppContext;
use shared_lambda::{serve_buffered, start};
use shared_openrouter::{Catalogue, OpenRouter};

fn main() -> ExitCode {
    start(async |init| {
        let env = init.with_secrets().await?;
        let table = Arc::new(ModelTable::compiled_in()?);
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            catalogue: Arc::new(Catalogue::new(OpenRouter::from_env(&env)?, table)),
        };
        serve_buffered(app(deps)).await
    })
}
