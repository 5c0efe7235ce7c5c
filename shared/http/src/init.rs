//! What a function finds when its process starts.

use std::cell::OnceCell;
use std::fmt::Display;

use secrecy::ExposeSecret;
use shared_aws::{Aws, Secrets, references};
use shared_core::env::{ConfigError, Env};

use crate::serve::StartError;
use crate::{Tasks, otel, process_env};

/// A function's start: its variables, and work that need not wait for them.
///
/// Secrets come from another machine. What needs none, such as connections that IAM lets in, is
/// begun before they are asked for, and goes on while they come.
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

    /// The variables as they are set. One that refers to a secret is not its value yet.
    pub fn env(&self) -> &Env<'static> {
        &self.env
    }

    /// Begins `work` that the first request would otherwise have to wait for, and waits for none of
    /// it. If it fails, the first request tries again.
    pub fn early<E: Display>(&self, work: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(%error, "not ready ahead of time");
            }
        });
    }

    /// The AWS account: one HTTP client for all that ask it.
    pub fn aws(&self) -> Result<Aws, ConfigError> {
        match self.aws.get() {
            Some(aws) => Ok(aws.clone()),
            None => Aws::from_env(&self.env).map(|aws| self.aws.get_or_init(|| aws).clone()),
        }
    }

    /// What outlives a response, and is waited for in the end.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The variables, with what Secrets Manager holds in the place of each `secret:<name or ARN>` and
    /// `secret:<name or ARN>#<field>`: one call for all of them, and none where there are none.
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
        // A vendor's key is a secret too.
        otel::configure(&env)?;
        Ok(env)
    }
}
