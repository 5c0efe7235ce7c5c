//! The baseline of a cold start: the first function of every tutorial, as in `lambda_http`'s documentation.
//! No logs, no configuration, no connections.

use lambda_http::{Error, IntoResponse, Request, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_http::run(service_fn(hello)).await
}

async fn hello(_: Request) -> Result<impl IntoResponse, Error> {
    Ok("hello, world")
}
