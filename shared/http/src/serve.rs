//! Running an app on Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use lambda_http::{Adapter, StreamAdapter};
use lambda_runtime::Runtime;
use shared_core::env::{ConfigError, Env};

use crate::nodelay::NoDelay;
use crate::telemetry::begin_logging;
use crate::{Tasks, process_env};

/// A function's `main`: logs, reads the environment, builds the app and serves it.
///
/// One thread: a Lambda environment of up to 1,769 MB has one virtual CPU or less.
pub fn start<Serve>(serve: impl FnOnce(Env<'static>) -> Serve) -> ExitCode
where
    Serve: Future<Output = Result<(), StartError>>,
{
    begin_logging(std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(StartError::from)
        .and_then(|runtime| runtime.block_on(serve(process_env())));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function stops");
            ExitCode::FAILURE
        }
    }
}

/// Why a function cannot start, or why it stopped.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No Lambda around.
    #[error(
        "this program runs on AWS Lambda (AWS_LAMBDA_RUNTIME_API is not set); on your machine, use `make dev`"
    )]
    NotOnLambda,
    /// The runtime API went away, or a response could not be delivered.
    #[error("the Lambda runtime: {0}")]
    Runtime(#[from] lambda_runtime::Error),
    /// The system refused a thread or a socket.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Serves responses whole, for API Gateway's buffered integration.
pub async fn serve_buffered(app: Router) -> Result<(), StartError> {
    runtime_api()?;
    Ok(Runtime::new(Adapter::from(app)).run().await?)
}

/// Serves responses chunk by chunk, for API Gateway's response streaming and Function URLs.
///
/// Lambda goes on when a client is gone, but its runtime stops when a stream cannot be delivered:
/// what is still being read and stored is waited for.
pub async fn serve_streaming(app: Router, tasks: &Tasks) -> Result<(), StartError> {
    let no_delay = Arc::new(NoDelay::new(&runtime_api()?));
    let app = app.layer(map_request(move |request: Request| {
        no_delay.ensure();
        std::future::ready(request)
    }));
    let result = Runtime::new(StreamAdapter::from(app)).run().await;
    tasks.finish().await;
    Ok(result?)
}

fn runtime_api() -> Result<String, StartError> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(|_| StartError::NotOnLambda)
}
