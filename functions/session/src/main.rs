//! The `session` function on AWS Lambda.

use std::process::ExitCode;

use shared_http::{Edge, EdgeConfig, serve_buffered, start, system_clock, system_entropy};
use shared_postgres::{Database, DatabaseConfig};

fn main() -> ExitCode {
    start(async |env| {
        let edge = Edge::new(&EdgeConfig::from_env(&env)?, system_clock(), system_entropy());
        let database = Database::new(&DatabaseConfig::from_env(&env)?)?;
        serve_buffered(session::app(session::Deps { edge, database })).await
    })
}
