//! Serves a function's app, or its events, through Lambda's runtime interface.

use std::convert::Infallible;
use std::fmt::{Debug, Display};
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use lambda_http::{Request, runtime_concurrent, streaming_runtime_concurrent};
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde::Serialize;
use serde_json::Value;
use tower::layer::layer_fn;
use tower::{Service, ServiceExt};

use crate::nodelay::NoDelay;
use crate::otel::exporting;
use crate::{StartError, Tasks};

/// An app that answers HTTP requests, such as axum's `Router`.
pub trait HttpApp<B>:
    Service<Request, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<App, B> HttpApp<B> for App where
    App: Service<Request, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Serves buffered responses, for API Gateway's buffered integration.
///
/// One request at a time per function instance; on Managed Instances, `AWS_LAMBDA_MAX_CONCURRENCY`
/// concurrent ones.
pub async fn serve_buffered<App, B>(app: App) -> Result<(), StartError>
where
    App: HttpApp<B>,
    B: Body<Data = Bytes, Error: Display> + Send + 'static,
{
    runtime_api()?;
    let app = app.and_then(buffered);
    let runtime = runtime_concurrent(app).layer(TracingLayer::new());
    Ok(runtime.layer(layer_fn(exporting)).run_concurrent().await?)
}

/// Buffers the body: the runtime requires bodies that threads can share, which a stream is not.
async fn buffered<B>(response: Response<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes, Error: Display>,
{
    let (parts, body) = response.into_parts();
    Ok(match body.collect().await {
        Ok(body) => Response::from_parts(parts, Full::new(body.to_bytes())),
        Err(error) => {
            tracing::error!(%error, "a response body could not be read to its end");
            let mut empty = Response::default();
            *empty.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            empty
        }
    })
}

/// Serves responses chunk by chunk, for API Gateway's response streaming and Function URLs.
///
/// The handler continues after a client has disconnected. If a chunk cannot be delivered, the runtime returns an error;
/// running tasks are then awaited. Concurrency is as in
/// [`serve_buffered`].
pub async fn serve_streaming<App, B>(app: App, tasks: &Tasks) -> Result<(), StartError>
where
    App: HttpApp<B>,
    B: Body<Data = Bytes, Error: Into<lambda_http::Error> + Debug + Send> + Unpin + Send + 'static,
{
    let one_at_a_time = std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").map_or(true, |max| max == "1");
    let no_delay = Arc::new(NoDelay::new(&runtime_api()?, one_at_a_time));
    let app = app.map_request(move |request: Request| {
        no_delay.ensure();
        request
    });
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
