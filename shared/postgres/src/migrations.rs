//! Forward-only migrations, embedded from `migrations/`.

use std::hash::{DefaultHasher, Hash, Hasher};

use shared_core::env::ConfigError;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::DatabaseConfig;
use crate::connection::tls;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// A migration failed; those before it are applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The URL makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    let config = DatabaseConfig { url: url.into(), ca_file: None, pool_size: 1 };
    let parsed = config.parsed()?;
    if parsed.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = parsed.connect(NoTls).await?;
        run(client, connection).await
    } else {
        let tls = MakeRustlsConnect::new(tls(config.ca_file.as_deref())?);
        let (client, connection) = parsed.connect(tls).await?;
        run(client, connection).await
    }
}

async fn run(
    mut client: Client,
    connection: impl Future<Output = Result<(), tokio_postgres::Error>>,
) -> Result<(), MigrateError> {
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
