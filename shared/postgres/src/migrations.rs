//! Forward-only migrations, embedded from `migrations/`.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio_postgres::NoTls;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// A migration failed; those before it are applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached.
    #[error("cannot reach the database to migrate it: {0}")]
    Connect(#[from] tokio_postgres::Error),
    /// A migration does not run, or one that was applied has been edited since.
    #[error("cannot migrate the database: {0}")]
    Run(#[from] Box<refinery::Error>),
}

/// Applies what is missing, as the owner of the schema. `url` is that of a superuser or owner; the
/// app's role is made by the first migration and can do nothing here.
pub async fn migrate(url: &str) -> Result<(), MigrateError> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let migrate = async {
        let report = embedded::migrations::runner().run_async(&mut client).await.map_err(Box::new);
        // The connection ends when its client is gone, and this waits for both.
        drop(client);
        report
    };
    let (report, connection) = tokio::join!(migrate, connection);
    for migration in report?.applied_migrations() {
        tracing::info!(%migration, "applied");
    }
    Ok(connection?)
}

/// Changes whenever a migration is added, so that a template of a migrated database can be kept.
pub fn schema_hash() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in embedded::migrations::runner().get_migrations() {
        migration.checksum().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
