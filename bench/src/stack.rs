//! The servers that the subjects share: a Postgres and a Valkey as `make dev` starts them.
//!
//! The tests' servers are unsuitable: their Postgres never waits for the disk. These keep their data until
//! the bench ends, in a directory of their own beside that of `make dev`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use local_stack::{Servers, Settings, free_port};
use shared_lambda::process_env;
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use tokio_postgres::{Client, NoTls};

use crate::usage::{cpu_of, cpu_of_children};
use crate::{Result, bare};

/// The durability settings of the servers, for the report.
pub(crate) const DURABILITY: &str =
    "postgres fsync on, synchronous_commit on, full_page_writes on; valkey appendfsync everysec";

/// Grants every user more credits than they can spend, as after the first turn of a paid period: the measured
/// turns are paid by credits, and a paid plan takes enough files.
pub(crate) const CREDITS_FOR_EVERY_USER: &str = "
    insert into entitlements (id, user_id, plan, credits, starts_at, ends_at)
    select gen_random_uuid(), id, 'premium', 1000000, now(), now() + interval '1 day' from users;
    insert into allowances (user_id, plan, starts_at, ends_at, granted, balance)
    select user_id, plan, starts_at, ends_at, credits, credits from entitlements";

/// A Postgres with the product's schema and the bare turn's table, and a Valkey.
pub(crate) struct Stack {
    servers: Servers,
    directory: PathBuf,
    postgres_port: u16,
    cache_port: u16,
    cache_pid: String,
}

impl Stack {
    /// Starts both on free ports, with empty data.
    pub(crate) async fn start() -> Result<Self> {
        let directory = directory()?;
        // Removes what a killed bench left behind.
        local_stack::forget(settings(&directory, 0, 0)).await?;
        let (postgres_port, cache_port) = (free_port()?, free_port()?);
        let servers = Servers::start(settings(&directory, postgres_port, cache_port)).await?;
        migrate(&DatabaseConfig::at(servers.database_owner_url()), Destructive::Refused).await?;
        let cache = SocketAddr::from((Ipv4Addr::LOCALHOST, cache_port));
        let cache_pid = ask_cache(cache, "INFO server", "process_id:")?;
        let stack = Self { servers, directory, postgres_port, cache_port, cache_pid };
        stack.run_as_owner(bare::SCHEMA).await?;
        Ok(stack)
    }

    /// Runs `analyze`, as autovacuum does once a minute: plans that were made for empty tables would read
    /// them whole.
    pub(crate) async fn analyze(&self) -> Result<()> {
        self.run_as_owner("analyze").await
    }

    /// The subjects' database URL.
    pub(crate) fn database_url(&self) -> &str {
        self.servers.database_url()
    }

    /// The same for `app_money`, the role that records payments.
    pub(crate) fn money_url(&self) -> String {
        self.database_url().replace("app_user", "app_money")
    }

    /// The subjects' cache URL.
    pub(crate) fn cache_url(&self) -> &str {
        self.servers.cache_url()
    }

    /// Postgres' own address, without a proxy.
    pub(crate) fn database_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.postgres_port))
    }

    /// Valkey's own address, without a proxy.
    pub(crate) fn cache_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.cache_port))
    }

    /// A directory for objects, which is removed at the end.
    pub(crate) fn s3_directory(&self) -> PathBuf {
        self.directory.join("dev/s3")
    }

    /// The processor time of Valkey so far.
    pub(crate) fn cache_cpu(&self) -> Result<Duration> {
        cpu_of(&self.cache_pid)
    }

    /// The processor time of all Postgres processes so far, the writers of WAL and data files among them.
    pub(crate) fn database_cpu(&self) -> Result<Duration> {
        let file = self.directory.join("dev/postgres/postmaster.pid");
        let text = fs::read_to_string(file)?;
        cpu_of_children(text.lines().next().unwrap_or_default())
    }

    /// Has Valkey announce `port`: a client of the cluster protocol connects to the announced port, past a
    /// proxy that is not announced. 0 announces Valkey's own port.
    pub(crate) fn announce_cache_at(&self, port: u16) -> Result<()> {
        ask_cache(
            self.cache_address(),
            &format!("CONFIG SET cluster-announce-port {port}"),
            "+OK",
        )?;
        Ok(())
    }

    /// Empties Valkey, and with it all rate limits.
    pub(crate) fn empty_cache(&self) -> Result<()> {
        ask_cache(self.cache_address(), "FLUSHALL", "+OK")?;
        Ok(())
    }

    /// Ends both and removes their data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.servers.stop().await;
        local_stack::forget(settings(&self.directory, 0, 0)).await?;
        Ok(())
    }

    /// Creates another database with the product's schema.
    pub(crate) async fn create_database(&self, name: &str) -> Result<OtherDatabase> {
        self.run_as_owner(&format!("create database {name}")).await?;
        let url = |url: &str| url.rsplit_once('/').map(|(server, _)| format!("{server}/{name}"));
        let owner_url = url(self.servers.database_owner_url()).ok_or("a URL without a database")?;
        let url = url(self.servers.database_url()).ok_or("a URL without a database")?;
        migrate(&DatabaseConfig::at(&owner_url), Destructive::Refused).await?;
        Ok(OtherDatabase { url, owner_url })
    }

    /// Runs `statements` as the owner of the tables.
    pub(crate) async fn run_as_owner(&self, statements: &str) -> Result<()> {
        run(self.servers.database_owner_url(), statements).await
    }

    /// The number of rows that `query` returns to the owner of the tables.
    pub(crate) async fn rows_as_owner(&self, query: &str) -> Result<usize> {
        let url = self.servers.database_owner_url();
        connected(url, async |client| Ok(client.query(query, &[]).await?.len())).await
    }
}

/// A database beside the one of the loads.
pub(crate) struct OtherDatabase {
    /// The product's URL.
    pub(crate) url: String,
    owner_url: String,
}

impl OtherDatabase {
    /// Runs `statements` as the owner of the tables.
    pub(crate) async fn run_as_owner(&self, statements: &str) -> Result<()> {
        run(&self.owner_url, statements).await
    }
}

async fn run(url: &str, statements: &str) -> Result<()> {
    connected(url, async |client| client.batch_execute(statements).await).await
}

async fn connected<T>(
    url: &str,
    work: impl AsyncFnOnce(&Client) -> std::result::Result<T, tokio_postgres::Error>,
) -> Result<T> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let work = async {
        let result = work(&client).await;
        drop(client);
        result
    };
    let (result, _) = tokio::join!(work, connection);
    Ok(result?)
}

/// Sends a command in the protocol's inline form; returns the first line of the response that begins with
/// `prefix`, without it.
fn ask_cache(address: SocketAddr, command: &str, prefix: &str) -> Result<String> {
    let mut socket = TcpStream::connect(address)?;
    // Quits after it, so that the response ends.
    write!(socket, "{command}\r\nQUIT\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let found = answer.lines().find_map(|line| line.strip_prefix(prefix));
    Ok(found.ok_or_else(|| format!("valkey answers {command} with {answer}"))?.trim().to_owned())
}

/// Where `local/install` puts programs.
pub(crate) fn local_dir() -> Result<PathBuf> {
    Ok(Settings::from_env(&process_env())?.local_dir)
}

/// `.local/bench`, with a link to the programs in `.local/bin`.
fn directory() -> Result<PathBuf> {
    let local_dir = local_dir()?;
    let directory = local_dir.join("bench");
    fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    match symlink(local_dir.canonicalize()?.join("bin"), directory.join("bin")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(directory),
    }
}

/// Ignores a developer's settings for `make dev`: neither their ports nor their servers.
fn settings(directory: &Path, postgres_port: u16, cache_port: u16) -> Settings {
    Settings {
        local_dir: directory.to_owned(),
        postgres_port,
        cache_port,
        database_url: None,
        database_owner_url: None,
        cache_url: None,
    }
}
