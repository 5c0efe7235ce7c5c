//! A function's `main`.

use std::process::ExitCode;

use crate::logging::begin_logging;
use crate::{Init, StartError, metrics};

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
