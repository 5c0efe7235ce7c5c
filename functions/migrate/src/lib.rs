//! The `migrate` function: migrates the schema to the version that this deployment's code needs.
//!
//! CloudFormation invokes it as a custom resource, before any other function's new code gets a request:
//! old code has to work with the new schema, so a migration only adds. An operator may invoke it too:
//!
//! ```text
//! aws lambda invoke --function-name chat-migrate --cli-binary-format raw-in-base64-out \
//!   --cli-read-timeout 0 --payload '{"AllowDestructive": true}' /dev/stdout
//! ```

mod answer;
mod event;

use std::time::Duration;

use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;
use shared_cache::Serverless;
use shared_core::clock::Clock;
use shared_core::env::ConfigError;
use shared_lambda::{Init, Metric, StartError, measure};
use shared_postgres::{DatabaseConfig, MigrateError, Migrated, migrate, schema_hash};

use crate::answer::{Answer, http_client};
use crate::event::{Event, Properties, RequestType};

/// Part of an invocation's time that is reserved to report a timeout.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// Dependencies of this function.
#[derive(Debug)]
pub struct Deps {
    /// The variables, and the secrets they refer to; read on each invocation, because RDS rotates the
    /// owner's password by itself.
    pub init: Init,
    /// Clock for tokens and deadlines.
    pub clock: Clock,
}

/// Result of a migration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationReport {
    #[serde(flatten)]
    migrated: Migrated,
    /// The schema that this code knows.
    schema_hash: String,
    /// State of the cache according to AWS: one report shows whether a deployment is complete.
    cache: Option<String>,
}

/// Why an event failed.
#[derive(Debug, thiserror::Error)]
enum HandlerError {
    #[error("this is no event of CloudFormation's, and not {{\"AllowDestructive\": …}}: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error("the database took too long; what is done is done, and running this again goes on")]
    TimedOut,
    #[error("CloudFormation did not get the response: {0}")]
    ResponseNotSent(#[from] reqwest::Error),
}

/// Handles one event. Returns only errors that were not reported to CloudFormation.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<Value>,
) -> Result<Option<MigrationReport>, lambda_runtime::Error> {
    let deadline = event.context.deadline; // in milliseconds since 1970
    match Event::parse(event.payload).map_err(HandlerError::from)? {
        Event::Direct(properties) => Ok(Some(migrate_within(deps, &properties, deadline).await?)),
        Event::Resource(event) => {
            let result = match event.request_type {
                RequestType::Create | RequestType::Update => {
                    migrate_within(deps, &event.properties, deadline).await.map(Some)
                }
                // The stack is deleted; the users' data stays in the database's last snapshot.
                RequestType::Delete => Ok(None),
            };
            let result = result.map_err(|failure| {
                tracing::error!(error = %failure, "the migration failed");
                // The invocation itself succeeds, or Lambda would retry it twice.
                measure(deps.clock.now(), &[Metric::one("MigrationFailed")], &[]);
                failure.to_string()
            });
            let answer = Answer::new(&event, &result);
            answer.send(&http_client()?, &event.response_url).await.map_err(HandlerError::from)?;
            Ok(result.unwrap_or_default())
        }
    }
}

async fn migrate_within(
    deps: &Deps,
    properties: &Value,
    deadline_ms: u64,
) -> Result<MigrationReport, HandlerError> {
    let properties = Properties::read(properties)?;
    let now = u64::try_from(deps.clock.now().as_millisecond()).unwrap_or_default();
    let left = Duration::from_millis(deadline_ms.saturating_sub(now));
    tokio::time::timeout(left.saturating_sub(LAST_WORDS), Box::pin(migrated(deps, &properties)))
        .await
        .map_err(|_| HandlerError::TimedOut)?
}

async fn migrated(deps: &Deps, properties: &Properties) -> Result<MigrationReport, HandlerError> {
    let hash = schema_hash();
    if properties.schema_hash.as_ref().is_some_and(|expected| *expected != hash) {
        // During a rollback, code and template may belong to different deployments.
        tracing::warn!(schema_hash = hash, "the template expects another schema than this code's");
    }
    let env = deps.init.with_secrets().await?;
    let database = DatabaseConfig::of_owner(&env)?;
    let serverless = Serverless::from_env(&env)?;
    let (migrated, cache) =
        tokio::join!(migrate(&database, properties.destructive()), described(serverless));
    let migrated = migrated?;
    tracing::info!(applied = ?migrated.applied, version = migrated.version, cache, "migrated");
    Ok(MigrationReport { migrated, schema_hash: hash, cache })
}

async fn described(serverless: Option<Serverless>) -> Option<String> {
    Some(match serverless?.describe().await {
        Ok(cache) => {
            let endpoint = cache.endpoint.as_deref().unwrap_or("no endpoint yet");
            format!("{} at {endpoint}", cache.status)
        }
        Err(error) => format!("unknown: {error}"),
    })
}
