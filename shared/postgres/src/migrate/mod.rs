//! Forward-only migrations, embedded from `migrations/`, and after them the SQL functions of `functions/`.

mod destructive;
mod functions;

use std::time::Duration;

use deadpool_postgres::Connect;
use refinery::error::Kind;
use refinery::{Migration, Runner, SchemaVersion};
use sha2::{Digest, Sha256};
use shared_core::env::ConfigError;
use tokio_postgres::Client;

use self::destructive::is_destructive;
use crate::DatabaseConfig;
use crate::connection::connector::Connector;
use crate::error::described;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Whether migrations that may lose stored data can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destructive {
    /// They are refused.
    Refused,
    /// The operator has allowed them.
    Allowed,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migrated {
    /// The migrations that this run applied, such as `V2__chats`.
    pub applied: Vec<String>,
    /// The SQL functions that this run created or replaced, such as `begin_turn`.
    pub functions: Vec<&'static str>,
    /// The newest applied migration: newer than any here if the program was rolled back, because the database never
    /// is.
    pub version: Option<String>,
}

/// A migration failed; those before it are applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The configuration is invalid, such as the URL.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be reached, or rejects a statement.
    #[error("the database that is to be migrated: {}", described(.0))]
    Database(#[from] tokio_postgres::Error),
    /// A migration fails.
    #[error("cannot migrate the database: {}", failed_step(.0))]
    Run(#[from] Box<refinery::Error>),
    /// The checksum of an applied migration is not that of this program's: it was edited, or another program created
    /// the database.
    #[error("the database was migrated by other statements than those of this program ({0})")]
    Diverged(String),
    /// A migration has a lower number than one that is applied already, and would never run.
    #[error("{0} comes too late: give it a number after the newest that is applied, {1}")]
    TooLate(String, SchemaVersion),
    /// A pending migration is destructive: it may lose stored data. None was run.
    #[error("{0} may lose stored data, which was not allowed: nothing was changed")]
    Destructive(String),
}

/// Advisory lock, for one run at a time: a second run waits here for the first, and then finds nothing left to do. Any
/// number will do that no other program uses.
///
/// After that, a migration waits only briefly for a table's lock: all later statements on the table queue behind it.
/// And none goes on at the server when the function that runs it (890 s) is gone.
const LOCK: &str = "set lock_timeout = '60s'; select pg_advisory_lock(20251122);
    set lock_timeout = '5s'; set statement_timeout = '850s'";
/// Timeout for the server to accept the connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// On RDS, members of this role log in with an IAM token.
const GRANT_IAM_LOGIN: &str = "do $$
begin
  if exists (select from pg_roles where rolname = 'rds_iam') then
    grant rds_iam to app_user, app_job, app_money;
  end if;
end
$$";

/// Applies pending migrations and changed functions, as the owner of the schema: a superuser, or a role that may create
/// roles and owns the database, as on RDS. The app's roles are created on the way and cannot migrate.
///
/// Idempotent and safe under concurrency; with nothing to apply it changes nothing. A program that was rolled back
/// leaves newer migrations in place: they only ever add.
pub async fn migrate(
    config: &DatabaseConfig,
    destructive: Destructive,
) -> Result<Migrated, MigrateError> {
    let mut postgres = config.parsed()?;
    postgres.connect_timeout(CONNECT_WITHIN).application_name("migrate");
    let (mut client, connection) =
        Connector::new(config, &postgres, None)?.connect(&postgres).await?;
    let result = run(&mut client, destructive).await;
    // Dropping the client closes the connection, and that releases the lock.
    drop(client);
    connection.await.ok();
    result
}

async fn run(client: &mut Client, destructive: Destructive) -> Result<Migrated, MigrateError> {
    client.batch_execute(LOCK).await?;
    let runner = embedded::migrations::runner().set_abort_missing(false);
    let applied = applied(client).await?;
    if let Some((late, newest)) = too_late(&runner, &applied) {
        return Err(MigrateError::TooLate(late.to_string(), newest));
    }
    let newest = applied.last().copied();
    if let (Destructive::Refused, Some(losing)) = (destructive, losing(&runner, newest)) {
        return Err(MigrateError::Destructive(losing.to_string()));
    }
    let report = runner.run_async(client).await.map_err(diverged)?;
    let applied: Vec<_> = report.applied_migrations().iter().map(Migration::to_string).collect();
    client.batch_execute(GRANT_IAM_LOGIN).await?;
    let known = runner.get_migrations().iter().map(Migration::version).max();
    let functions = if newest > known {
        // Rolled back: the database's functions belong to the newer schema, so they stay.
        Vec::new()
    } else {
        functions::apply(client).await?
    };
    // No `analyze`: for a table without statistics Postgres assumes that it will grow, and plans index scans; for one
    // that it has seen empty, it plans sequential scans.
    let last = runner.get_last_applied_migration_async(client).await.map_err(Box::new)?;
    Ok(Migrated { applied, functions, version: last.map(|migration| migration.to_string()) })
}

/// The first destructive migration after `version`. None without a version: the database is empty.
fn losing(runner: &Runner, version: Option<SchemaVersion>) -> Option<&Migration> {
    let version = version?;
    let mut pending = runner.get_migrations().iter().filter(|m| m.version() > version);
    pending.find(|migration| migration.sql().is_some_and(is_destructive))
}

/// The first migration that is not applied although a later one is, and the newest applied version.
fn too_late<'a>(
    runner: &'a Runner,
    applied: &[SchemaVersion],
) -> Option<(&'a Migration, SchemaVersion)> {
    let newest = *applied.last()?;
    let mut known = runner.get_migrations().iter();
    let late = known.find(|m| m.version() < newest && !applied.contains(&m.version()))?;
    Some((late, newest))
}

/// The applied versions, oldest first.
async fn applied(client: &Client) -> Result<Vec<SchemaVersion>, MigrateError> {
    let table = "select to_regclass('refinery_schema_history') is not null";
    if !client.query_one(table, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let versions = "select version from refinery_schema_history order by version";
    let rows = client.query(versions, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn diverged(error: refinery::Error) -> MigrateError {
    if let Kind::DivergentVersion(applied, _) = error.kind() {
        MigrateError::Diverged(applied.to_string())
    } else {
        Box::new(error).into()
    }
}

/// Formats which migration failed, and why, without the server's message, which can contain values of rows.
fn failed_step(error: &refinery::Error) -> String {
    if let Kind::Connection(step, cause) = error.kind() {
        return format!("{step}: {}", described(cause.as_ref()));
    }
    error.to_string()
}

/// Hash of the migrations and functions: changes whenever one is added or a function changes, and at no other time. A
/// deployment migrates when it changes, and tests rebuild their template database.
pub fn schema_hash() -> String {
    let mut hash = Sha256::new();
    for migration in embedded::migrations::runner().get_migrations() {
        hash.update(migration.to_string());
        hash.update(migration.sql().unwrap_or_default());
    }
    functions::add_to(&mut hash);
    let hash = hash.finalize();
    format!("{:016x}", u64::from_be_bytes(std::array::from_fn(|byte| hash[byte])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pending_migration_can_be_destructive() {
        let migrations = [
            Migration::unapplied("V1__first", "create table a ()").unwrap(),
            Migration::unapplied("V2__drops", "drop table a").unwrap(),
            Migration::unapplied("V3__adds", "create table b ()").unwrap(),
        ];
        let runner = Runner::new(&migrations);
        assert_eq!(losing(&runner, Some(1)).map(Migration::name), Some("drops"));
        assert_eq!(losing(&runner, Some(2)), None);
        assert_eq!(losing(&runner, None), None, "an empty database has nothing to lose");
    }

    #[test]
    fn a_migration_that_was_merged_late_is_found() {
        let migrations = ["V1__first", "V2__late", "V3__newest", "V4__next"]
            .map(|name| Migration::unapplied(name, "select 1").unwrap());
        let runner = Runner::new(&migrations);
        let late = |applied: &[SchemaVersion]| {
            too_late(&runner, applied).map(|(late, newest)| (late.name().to_owned(), newest))
        };
        assert_eq!(late(&[1, 3]), Some(("late".to_owned(), 3)));
        assert_eq!(late(&[1, 2, 3]), None);
        // A program that was rolled back, on the database of a later release.
        assert_eq!(late(&[1, 2, 3, 4, 5]), None);
        assert_eq!(late(&[]), None);
    }

    #[test]
    fn no_migration_after_the_first_is_destructive() {
        assert_eq!(losing(&embedded::migrations::runner(), Some(1)), None);
    }
}
