//! Running an app on Lambda.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use lambda_http::{runtime_concurrent, streaming_runtime_concurrent};
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde::Serialize;
use serde_json::Value;
use shared_aws::SecretsError;
use shared_core::env::ConfigError;
use tower::ServiceExt;
use tower::layer::layer_fn;

use crate::nodelay::NoDelay;
use crate::otel::exporting;
use crate::telemetry::begin_logging;
use crate::{Init, Tasks, metrics};

/// A function's `main`: starts logging, and runs `serve` in a runtime of one thread.
///
/// One thread: a function instance of up to 1,769 MB has one virtual CPU or less.
pub fn start<Serve>(serve: impl FnOnce(Init) -> Serve) -> ExitCode
where
    Serve: Future<Output = Result<(), StartError>>,
{
    begin_logging(std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some());
    if let Ok(function) = std::env::var("AWS_LAMBDA_FUNCTION_NAME") {
        metrics::begin(function);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result =
        runtime.map_err(StartError::from).and_then(|runtime| runtime.block_on(serve(Init::new())));
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
    /// A secret that a variable refers to cannot be fetched.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The process does not run on Lambda.
    #[error(
        "this program runs on AWS Lambda (AWS_LAMBDA_RUNTIME_API is not set); on your machine, use `make dev`"
    )]
    NotOnLambda,
    /// The runtime API cannot be reached, or a response could not be delivered.
    #[error("the Lambda runtime: {0}")]
    Runtime(#[from] lambda_runtime::Error),
    /// The system refused a thread or a socket.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Serves buffered responses, for API Gateway's buffered integration.
///
/// One request at a time per function instance; on Managed Instances, `AWS_LAMBDA_MAX_CONCURRENCY`
/// concurrent ones.
pub async fn serve_buffered(app: Router) -> Result<(), StartError> {
    runtime_api()?;
    let app = ServiceExt::<lambda_http::Request>::and_then(app, whole);
    let runtime = runtime_concurrent(app).layer(TracingLayer::new());
    Ok(runtime.layer(layer_fn(exporting)).run_concurrent().await?)
}

/// Buffers the body: the runtime requires bodies that threads can share, which a stream is not.
async fn whole(response: Response) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = response.into_parts();
    Ok(match body.collect().await {
        Ok(body) => http::Response::from_parts(parts, Full::new(body.to_bytes())),
        Err(error) => {
            tracing::error!(%error, "a response body could not be read to its end");
            let mut empty = http::Response::default();
            *empty.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            empty
        }
    })
}

/// Serves responses chunk by chunk, for API Gateway's response streaming and Function URLs.
///
/// Lambda goes on when a client has disconnected, but its runtime stops when a stream cannot be
/// delivered: then running turns are awaited, so that they are persisted. Concurrency is as in
/// [`serve_buffered`].
pub async fn serve_streaming(app: Router, tasks: &Tasks) -> Result<(), StartError> {
    let one_at_a_time = std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").map_or(true, |max| max == "1");
    let no_delay = Arc::new(NoDelay::new(&runtime_api()?, one_at_a_time));
    let app = app.layer(map_request(move |request: Request| {
        no_delay.ensure();
        std::future::ready(request)
    }));
    let runtime = streaming_runtime_concurrent(app).layer(TracingLayer::new());
    let result = runtime.layer(layer_fn(exporting)).run_concurrent().await;
    tasks.finish().await;
    Ok(result?)
}

/// Serves events other than HTTP requests: a deployment, a schedule, a queue. The result is JSON.
pub async fn serve_events<Handle, Answer>(handle: Handle) -> Result<(), StartError>
where
    Handle: AsyncFn(LambdaEvent<Value>) -> Result<Answer, lambda_runtime::Error>,
    Answer: Serialize,
{
    runtime_api()?;
    let handle = &handle;
    Ok(Runtime::new(service_fn(async move |event| handle(event).await)).run().await?)
}

fn runtime_api() -> Result<String, StartError> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(|_| StartError::NotOnLambda)
}
