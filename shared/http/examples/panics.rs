//! A function whose handler panics, for `tests/panics.rs`.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use shared_http::{AppContext, HttpConfig, wrap};
use shared_lambda::{serve_buffered, start, system_clock, system_entropy};

fn main() -> ExitCode {
    start(async |init| {
        let config = HttpConfig::from_env(init.env())?;
        let app = AppContext::new(&config, system_clock(), system_entropy());
        let routes = Router::new().route("/api/health", get(panics));
        serve_buffered(wrap(routes, &app)).await
    })
}

#[expect(clippy::panic, reason = "that is what it is for")]
async fn panics() {
    panic!("a bug of ours");
}
