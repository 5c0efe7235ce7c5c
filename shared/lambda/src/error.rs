//! Why a function's process ends.

use shared_aws::SecretsError;
use shared_core::env::ConfigError;

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
