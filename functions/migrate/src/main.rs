//! The `migrate` function on AWS Lambda.

use std::process::ExitCode;

use shared_lambda::{serve_events, start, system_clock};

fn main() -> ExitCode {
    start(async |init| {
        let deps = migrate::Deps { init, clock: system_clock() };
        serve_events(async |event| migrate::handle(&deps, event).await).await
    })
}
