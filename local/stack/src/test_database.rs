//! A database for one test: a copy of a template that is migrated once.

use shared_postgres::{DatabaseConfig, Destructive, migrate};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use crate::blocking::blocking;
use crate::ports::random;
use crate::postgres::{APP, DATABASE, MONEY, OWNER};
use crate::process;
use crate::test_servers::{home, or_panic};
use crate::{StackError, TestServers};

/// A migrated, empty database for one test. Dropped, it is removed.
pub struct TestDatabase {
    servers: &'static TestServers,
    name: String,
}

impl TestDatabase {
    /// Creates one, in some ten milliseconds once the template exists.
    ///
    /// # Panics
    /// If it cannot be created: no test that needs it can go on.
    pub async fn create() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let servers = TestServers::shared().await;
        let template = or_panic(TEMPLATE.get_or_try_init(|| template(servers)).await);
        // The name holds the process id, so that other processes can tell whether it is still in use.
        let name = format!("test_{}_{:x}", std::process::id(), random());
        let url = servers.database_url(OWNER, DATABASE);
        or_panic(connected(&url, async |client| copy(client, template, &name).await).await);
        Self { servers, name }
    }

    /// The URL for the superuser `postgres`, who owns the tables and sees every row.
    pub fn owner_url(&self) -> String {
        self.servers.database_url(OWNER, &self.name)
    }

    /// The URL for `app_user`, the role of the functions.
    pub fn app_url(&self) -> String {
        self.servers.database_url(APP, &self.name)
    }

    /// The URL for `app_money`, the role that records payments.
    pub fn money_url(&self) -> String {
        self.servers.database_url(MONEY, &self.name)
    }
}

impl Drop for TestDatabase {
    /// Waits for the drop, because the test's process may end right after; another test drops what is left
    /// over.
    fn drop(&mut self) {
        let url = self.servers.database_url(OWNER, DATABASE);
        let name = self.name.clone();
        // A thread of its own: `drop` runs on the test's runtime, which cannot `block_on` again.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let _ =
                    runtime.block_on(connected(&url, async |client| remove(client, &name).await));
            }
        });
        let _ = dropping.join();
    }
}

/// The name of the migrated template; creates it where the schema has none yet.
async fn template(servers: &TestServers) -> Result<String, StackError> {
    let url = servers.database_url(OWNER, DATABASE);
    let template = format!("template_{}", shared_postgres::schema_hash());
    if connected(&url, async |client| sweep(client, &template).await).await? {
        return Ok(template);
    }
    let _lock = blocking(|| home()?.lock_in_turn()).await?;
    if connected(&url, async |client| sweep(client, &template).await).await? {
        return Ok(template);
    }
    // Created under another name, so that one whose migration was interrupted is never copied.
    let new = format!("new_{template}");
    connected(&url, async |client| {
        remove(client, &new).await?;
        run(client, "make the template", &format!("create database {new}")).await
    })
    .await?;
    migrate(&DatabaseConfig::at(&servers.database_url(OWNER, &new)), Destructive::Refused).await?;
    connected(&url, async |client| {
        // A connection to the template would keep other tests from copying it.
        let close = format!("alter database {new} with is_template true allow_connections false");
        run(client, "close the template", &close).await?;
        let rename = format!("alter database {new} rename to {template}");
        run(client, "name the template", &rename).await
    })
    .await?;
    Ok(template)
}

/// Returns whether the template exists; drops the databases of processes that are gone.
async fn sweep(client: &Client, template: &str) -> Result<bool, StackError> {
    let rows = client
        .query("select datname::text from pg_database", &[])
        .await
        .map_err(database_error("list the test databases"))?;
    let mut found = false;
    for row in rows {
        let name: String = row.try_get(0).map_err(database_error("list the test databases"))?;
        found |= name == template;
        let mut words = name.split('_');
        let owner = (words.next() == Some("test")).then(|| words.next()?.parse().ok()).flatten();
        if owner.is_some_and(|pid| !process::is_alive(pid)) {
            // Another test may drop it at the same moment (a race, and harmless).
            let _ = remove(client, &name).await;
        }
    }
    Ok(found)
}

/// Copies the template file by file, by reflink where Postgres and the file system support that: 7 to 15
/// ms. The default, through the WAL, takes 20 to 40 ms.
async fn copy(client: &Client, template: &str, name: &str) -> Result<(), StackError> {
    let copy = format!("create database {name} template {template} strategy file_copy");
    let cloned = async {
        client.batch_execute("set file_copy_method = clone").await?;
        client.batch_execute(&copy).await
    };
    if cloned.await.is_ok() {
        return Ok(());
    }
    // The setting exists since version 18, and not every file system supports cloning.
    let _ = client.batch_execute("reset file_copy_method").await;
    run(client, "make a test database", &copy).await
}

async fn remove(client: &Client, name: &str) -> Result<(), StackError> {
    let drop = format!("drop database if exists {name} with (force)");
    run(client, "drop a test database", &drop).await
}

async fn run(client: &Client, doing: &'static str, statement: &str) -> Result<(), StackError> {
    client.batch_execute(statement).await.map_err(database_error(doing))
}

/// Runs `work` on a connection of its own.
async fn connected<T>(
    url: &str,
    work: impl AsyncFnOnce(&Client) -> Result<T, StackError>,
) -> Result<T, StackError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(database_error("connect to the test server"))?;
    let work = async {
        let result = work(&client).await;
        // The connection ends when its client is dropped; waits for both.
        drop(client);
        result
    };
    let (result, _) = tokio::join!(work, connection);
    result
}

fn database_error(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StackError {
    move |source| StackError::Database { doing, source }
}
