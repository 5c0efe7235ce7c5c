//! The AWS account that a function runs in: region, credentials, and one HTTP client for all of its
//! services.
//!
//! [`Aws`] reads what Lambda puts into the environment and makes no request. The SDK's default chain,
//! which would look for credentials on the disk and the network, is not used, and neither are the
//! system's certificates: both cost a cold start milliseconds. What is expensive is created lazily.
//!
//! [`Aws::database_token`] and [`Aws::cache_token`] sign IAM authentication tokens, the passwords for
//! RDS and `ElastiCache`, in this process. [`Secrets`] resolves the variables that refer to Secrets
//! Manager.

mod account;
mod error;
mod http_client;
mod reference;
mod secrets;
mod token;

pub use account::Aws;
pub use error::AwsError;
pub use reference::{Reference, references};
pub use secrets::{Problem, Secrets, SecretsError};
pub use token::{TOKEN_LIFETIME, TokenError};
