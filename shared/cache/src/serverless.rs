//! `ElastiCache` Serverless: IAM authentication, and the cache's state from the control plane.

use std::pin::Pin;
use std::time::Duration;

use aws_sdk_elasticache::Client;
use futures_util::{Stream, stream};
use redis::auth::BasicAuth;
use redis::{RedisError, RedisResult, StreamingCredentialsProvider};
use secrecy::ExposeSecret;
use shared_aws::{Aws, AwsError, TokenError};
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::error_chain;

/// Interval of re-authentication: the server closes a connection 12 hours after its last authentication.
const PROVE_AGAIN_AFTER: Duration = Duration::from_hours(6);

/// A serverless cache, identified by its name.
#[derive(Debug, Clone)]
pub struct Serverless {
    aws: Aws,
    name: String,
}

/// The result of `DescribeServerlessCaches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheState {
    /// `creating`, `available`, `modifying`, `deleting` or `create-failed`.
    pub status: String,
    /// `host:port`, once it has one.
    pub endpoint: Option<String>,
    /// Engine and version, such as `valkey 8.1`.
    pub engine: Option<String>,
}

/// Why the state of a cache is not known.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The call to AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// There is no cache of that name.
    #[error("ElastiCache: there is no such cache")]
    NotFound,
}

impl Serverless {
    /// `CACHE_NAME`, if it is set: the cache's name in the account and region that AWS's own variables
    /// name.
    pub fn from_env(env: &Env<'_>) -> Result<Option<Self>, ConfigError> {
        let name = env.optional("CACHE_NAME");
        name.map(|name| Ok(Self { aws: Aws::from_env(env)?, name })).transpose()
    }

    /// Queries the control plane, which no call to the cache depends on: it may be slow or throttled
    /// while the cache itself is healthy.
    pub async fn describe(&self) -> Result<CacheState, DescribeError> {
        let client = Client::new(self.aws.sdk_config());
        let described = client.describe_serverless_caches().serverless_cache_name(&self.name);
        let caches = described.send().await.map_err(|error| match error.as_service_error() {
            Some(refusal) if refusal.is_serverless_cache_not_found_fault() => {
                DescribeError::NotFound
            }
            _ => AwsError::new("ElastiCache", &error).into(),
        })?;
        let cache = caches.serverless_caches().first().ok_or(DescribeError::NotFound)?;
        let endpoint = cache
            .endpoint()
            .and_then(|endpoint| Some(format!("{}:{}", endpoint.address()?, endpoint.port()?)));
        let engine = cache.engine().map(|engine| {
            let version = cache.full_engine_version().or(cache.major_engine_version());
            format!("{engine} {}", version.unwrap_or("of an unknown version"))
        });
        let status = cache.status().unwrap_or("unknown").to_owned();
        Ok(CacheState { status, endpoint, engine })
    }
}

/// Signs an IAM token for each connection, and a new one before the server requires it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cache: Serverless,
    pub(crate) user: String,
    pub(crate) clock: Clock,
}

impl Identity {
    fn prove(&self) -> RedisResult<BasicAuth> {
        let Self { cache, user, clock } = self;
        let token = cache.aws.cache_token(&cache.name, user, clock.now());
        let token = token.map_err(|error: TokenError| {
            let kind = redis::ErrorKind::AuthenticationFailed;
            RedisError::from((kind, "no token for the cache", error_chain(&error)))
        })?;
        Ok(BasicAuth::new(user.clone(), token.expose_secret().to_owned()))
    }
}

impl StreamingCredentialsProvider for Identity {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send>> {
        let identity = self.clone();
        Box::pin(stream::unfold(Duration::ZERO, move |wait| {
            let identity = identity.clone();
            async move {
                tokio::time::sleep(wait).await;
                Some((identity.prove(), PROVE_AGAIN_AFTER))
            }
        }))
    }
}
