//! The `webhook` function on AWS Lambda.

use std::process::ExitCode;

use shared_cashfree::WebhookSecrets;
use shared_http::AppContext;
use shared_inbox::Inbox;
use shared_lambda::{serve_buffered, start, system_clock};
use shared_postgres::Payments;
use webhook::{Deps, app};

fn main() -> ExitCode {
    start(async |init| {
        let payments = Payments::from_env(init.env(), system_clock())?;
        init.early(payments.clone().warm());
        let inbox = Inbox::from_env(init.env(), &init.aws()?)?;

        let env = init.with_secrets().await?;
        let deps = Deps {
            app: AppContext::from_env(&env)?,
            secrets: WebhookSecrets::from_env(&env)?,
            inbox,
            payments,
        };
        serve_buffered(app(deps)).await
    })
}
