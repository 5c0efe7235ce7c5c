//! The context of an app: its configuration, clock and randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::random::Entropy;
use shared_lambda::{Metric, measure, system_clock, system_entropy};

use crate::HttpConfig;

/// Configuration, clock and randomness of an app. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppContext {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HttpConfig,
    clock: Clock,
    entropy: Entropy,
    /// Whether this process has received a request: the first is a cold start.
    started: AtomicBool,
}

impl AppContext {
    /// The context of this process, with the variables of [`HttpConfig`], the system's clock and its random source.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self::new(&HttpConfig::from_env(env)?, system_clock(), system_entropy()))
    }

    /// A context of these parts.
    pub fn new(config: &HttpConfig, clock: Clock, entropy: Entropy) -> Self {
        Self {
            inner: Arc::new(Inner {
                config: config.clone(),
                clock,
                entropy,
                started: AtomicBool::new(false),
            }),
        }
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The random source.
    pub fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    /// The app's origin, such as `https://chat.example.com`.
    pub fn origin(&self) -> &str {
        &self.inner.config.origin
    }

    pub(crate) fn config(&self) -> &HttpConfig {
        &self.inner.config
    }

    /// Whether no request was received before: a cold start.
    pub(crate) fn is_first_request(&self) -> bool {
        !self.inner.started.swap(true, Ordering::Relaxed)
    }

    /// Writes metrics, on Lambda. `about` holds searchable fields beside them: never a user's address, key
    /// or text.
    pub fn measure(&self, metrics: &[Metric], about: &[(&str, &str)]) {
        measure(self.clock().now(), metrics, about);
    }
}
