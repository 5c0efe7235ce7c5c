//! The `session` function on AWS Lambda.

use std::process::ExitCode;

use shared_http::{
    Edge, EdgeConfig, SessionKeys, Tokens, serve_buffered, start, system_clock, system_entropy,
};
use shared_postgres::{Database, DatabaseConfig};

fn main() -> ExitCode {
    start(async |env| {
        let origin = EdgeConfig::from_env(&env)?;
        let tokens = Tokens::new(&SessionKeys::from_env(&env)?, &origin);
        let edge = Edge::new(&origin, system_clock(), system_entropy());
        let database = Database::new(&DatabaseConfig::from_env(&env)?)?;
        serve_buffered(session::app(session::Deps { edge, tokens, database })).await
    })
}
