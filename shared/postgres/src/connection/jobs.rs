//! Background jobs, which no user's request runs. They use a role of their own, `app_job`, which reads rows of all
//! users, of those tables and columns only that a migration grants to it.
//!
//! Every job is idempotent and safe under concurrency: a row is changed on the condition that it still is as it was
//! read.

use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::DatabaseError;
use crate::{Database, DatabaseConfig};

/// The database, for jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    pub(crate) database: Database,
}

impl Jobs {
    /// The database of the variables of [`DatabaseConfig`], as [`Jobs::new`] prepares it.
    pub fn from_env(env: &Env<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::new(&DatabaseConfig::from_env(env)?, clock)
    }

    /// Prepares the pool, without connecting. The clock dates IAM tokens.
    pub fn new(config: &DatabaseConfig, clock: Clock) -> Result<Self, ConfigError> {
        Database::as_role("app_job", config, clock).map(|database| Self { database })
    }

    /// Opens a connection if none is open.
    pub async fn warm(self) -> Result<(), StoreError> {
        self.database.warm().await
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database.ping().await
    }

    /// Runs one statement as a transaction of its own.
    pub(crate) async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.database.query(sql, params).await
    }
}
