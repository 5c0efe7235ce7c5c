//! The `otp` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use otp::{Deps, app};
use shared_cache::{Cache, Codes};
use shared_http::AppContext;
use shared_lambda::{serve_buffered, start, system_clock};
use shared_mail::Ses;

fn main() -> ExitCode {
    start(async |init| {
        let cache = Cache::from_env(init.env(), system_clock()).await?;
        init.early(cache.clone().warm());

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            codes: Codes::from_env(cache.clone(), &env)?,
            cache,
            mailer: Arc::new(Ses::from_env(&env, init.aws()?)?),
        };
        serve_buffered(app(deps)).await
    })
}
