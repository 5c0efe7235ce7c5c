//! Initialization of a function's process (cold start).

use std::cell::OnceCell;
use std::fmt::Display;

use secrecy::ExposeSecret;
use shared_aws::{Aws, Secrets, references};
use shared_core::env::{ConfigError, Env};

use crate::{StartError, Tasks, otel, process_env};

/// A function's initialization: its environment variables, and work that need not wait for secrets.
///
/// Secrets are fetched over the network. Work that needs none, such as connections with IAM
/// authentication, starts before that and runs concurrently.
#[derive(Debug)]
pub struct Init {
    env: Env<'static>,
    tasks: Tasks,
    aws: OnceCell<Aws>,
}

impl Init {
    pub(crate) fn new() -> Self {
        Self { env: process_env(), tasks: Tasks::default(), aws: OnceCell::new() }
    }

    /// The environment variables as set; references to secrets are not resolved.
    pub fn env(&self) -> &Env<'static> {
        &self.env
    }

    /// Spawns `work` that the first request would otherwise have to wait for. If it fails, the first
    /// request retries it.
    pub fn early<E: Display>(&self, work: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(%error, "early initialization failed; the first request retries it");
            }
        });
    }

    /// The AWS account, with one HTTP client for all callers.
    pub fn aws(&self) -> Result<Aws, ConfigError> {
        match self.aws.get() {
            Some(aws) => Ok(aws.clone()),
            None => Aws::from_env(&self.env).map(|aws| self.aws.get_or_init(|| aws).clone()),
        }
    }

    /// Tasks that outlive a response. [`serve_streaming`](crate::serve_streaming) awaits them at its end.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The environment variables, with each `secret:<name or ARN>` and `secret:<name or ARN>#<field>`
    /// replaced by its value from Secrets Manager: one call for all of them, none if there are none.
    pub async fn with_secrets(&self) -> Result<Env<'static>, StartError> {
        let references = references(std::env::vars_os())?;
        let env = if references.is_empty() {
            process_env()
        } else {
            let secrets = Secrets::fetch(&self.aws()?, &references).await?;
            Env::new(move |variable| match secrets.get(variable) {
                Some(secret) => Some(secret.expose_secret().to_owned()),
                None => std::env::var(variable).ok(),
            })
        };
        // The collector's headers may hold a secret: a vendor's API key.
        otel::configure(&env)?;
        Ok(env)
    }
}
