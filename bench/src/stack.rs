//! The servers that the subjects share: a Postgres and a Valkey as `make dev` starts them.
//!
//! The tests' servers are unsuitable: their Postgres never waits for the disk. These keep their data until
//! the bench ends, in a directory of their own beside that of `make dev`.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use local_stack::{Servers, Settings, free_port};
use shared_lambda::process_env;
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use tokio_postgres::NoTls;

use crate::usage::cpu_of_children;
use crate::{Result, bare};

/// The durability settings of the servers, for the report.
pub(crate) const DURABILITY: &str =
    "postgres fsync on, synchronous_commit on, full_page_writes on; valkey appendfsync everysec";

/// A Postgres with the product's schema and the bare turn's table, and a Valkey.
pub(crate) struct Stack {
    servers: Servers,
    directory: PathBuf,
    postgres_port: u16,
    cache_port: u16,
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
        let stack = Self { servers, directory, postgres_port, cache_port };
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

    /// The processor time of all Postgres processes so far.
    pub(crate) fn database_cpu(&self) -> Result<Duration> {
        let file = self.directory.join("dev/postgres/postmaster.pid");
        let text = fs::read_to_string(file)?;
        cpu_of_children(text.lines().next().unwrap_or_default())
    }

    /// Has Valkey announce `port`: a client of the cluster protocol connects to the announced port, past a
    /// proxy that is not announced. 0 announces Valkey's own port.
    pub(crate) fn announce_cache_at(&self, port: u16) -> Result<()> {
        let mut socket = TcpStream::connect(self.cache_address())?;
        let port = port.to_string();
        write!(
            socket,
            "*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$21\r\ncluster-announce-port\r\n${}\r\n{port}\r\n",
            port.len(),
        )?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer)?;
        if answer.starts_with("+OK") {
            Ok(())
        } else {
            Err(format!("valkey does not announce another port: {answer}").into())
        }
    }

    /// Ends both and removes their data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.servers.stop().await;
        local_stack::forget(settings(&self.directory, 0, 0)).await?;
        Ok(())
    }

    /// Grants every user more credits than they can spend, as after the first turn of a paid period: the
    /// measured turns are paid by credits.
    pub(crate) async fn grant_credits_to_every_user(&self) -> Result<()> {
        let premium = "
            insert into entitlements (id, user_id, plan, credits, starts_at, ends_at)
            select gen_random_uuid(), id, 'premium', 1000000, now(), now() + interval '1 day' from users;
            insert into allowances (user_id, plan, starts_at, ends_at, granted, balance)
            select user_id, plan, starts_at, ends_at, credits, credits from entitlements";
        self.run_as_owner(premium).await
    }

    async fn run_as_owner(&self, statements: &str) -> Result<()> {
        let (client, connection) =
            tokio_postgres::connect(self.servers.database_owner_url(), NoTls).await?;
        let work = async {
            let result = client.batch_execute(statements).await;
            drop(client);
            result
        };
        let (result, _) = tokio::join!(work, connection);
        Ok(result?)
    }
}

/// `.local/bench`, with a link to the programs in `.local/bin`.
fn directory() -> Result<PathBuf> {
    let local_dir = Settings::from_env(&process_env())?.local_dir;
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
