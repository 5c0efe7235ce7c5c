//! The `otp` function on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use shared_cache::{Cache, CacheConfig, Codes, Pepper};
use shared_http::{AppContext, HttpConfig, serve_buffered, start, system_clock, system_entropy};
use shared_mail::{MailConfig, Ses};

fn main() -> ExitCode {
    start(async |init| {
        let cache = CacheConfig::from_env(init.env())?.located().await?;
        let cache = Cache::new(&cache, system_clock())?;
        init.early(cache.clone().warm());

        let env = init.with_secrets().await?;
        let app = AppContext::new(&HttpConfig::from_env(&env)?, system_clock(), system_entropy());
        let codes = Codes::new(cache.clone(), Pepper::from_env(&env)?);
        let mailer = Arc::new(Ses::new(MailConfig::from_env(&env)?, init.aws()?));
        serve_buffered(otp::app(otp::Deps { app, cache, codes, mailer })).await
    })
}
