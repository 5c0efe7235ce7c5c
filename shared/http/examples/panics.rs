//! A function whose handler panics, for the test of what becomes of that.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use shared_http::{Edge, EdgeConfig, serve_buffered, start, system_clock, system_entropy};

fn main() -> ExitCode {
    start(async |init| {
        let config = EdgeConfig::from_env(init.env())?;
        let edge = Edge::new(&config, system_clock(), system_entropy());
        let app = Router::new().route("/api/health", get(panics));
        serve_buffered(edge.wrap(app)).await
    })
}

#[expect(clippy::panic, reason = "that is what it is for")]
async fn panics() {
    panic!("a bug of ours");
}
