//! Servers of one test, which can stop and start them under the code that it tests.

use std::fs;
use std::path::Path;

use crate::blocking::{blocking, both};
use crate::error::At as _;
use crate::home::Home;
use crate::ports::{free_port, random};
use crate::postgres::{self, Postgres};
use crate::process;
use crate::server::{Data, Server};
use crate::valkey::Valkey;
use crate::{StackError, settings};

/// Retries of a start that lost a race: another process took the port between the check and the listening.
const ATTEMPTS: usize = 3;

/// A Postgres and a Valkey for one test alone, on free ports. Dropped, they end and their data is removed.
pub struct PrivateServers {
    postgres: Server,
    cache: Server,
    home: Home,
}

impl PrivateServers {
    /// Starts both, empty: no migration has run.
    pub async fn start() -> Result<Self, StackError> {
        blocking(Self::start_here).await
    }

    fn start_here() -> Result<Self, StackError> {
        let local_dir = settings::local_dir_of_this_process()?;
        sweep(&local_dir)?;
        let name = format!("private/{}-{:x}", std::process::id(), random());
        let home = Home::new(&local_dir, &name, Data::Disposable);
        let (postgres, cache) =
            both(|| started(|port| home.postgres(port)), || started(|port| home.valkey(port)));
        match (postgres, cache) {
            (Ok(postgres), Ok(cache)) => Ok(Self { postgres, cache, home }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The Postgres, to stop and start.
    pub fn postgres(&self) -> &Server {
        &self.postgres
    }

    /// The Valkey, to stop and start. Its keys survive that.
    pub fn cache(&self) -> &Server {
        &self.cache
    }

    /// The superuser's URL of the database, for migrating it.
    pub fn owner_url(&self) -> String {
        Postgres::url(postgres::OWNER, self.postgres.port(), postgres::DATABASE)
    }

    /// The app's URL of the database, once it is migrated.
    pub fn app_url(&self) -> String {
        Postgres::url(postgres::APP, self.postgres.port(), postgres::DATABASE)
    }

    /// The URL of the database for the role that records payments, once it is migrated.
    pub fn money_url(&self) -> String {
        Postgres::url(postgres::MONEY, self.postgres.port(), postgres::DATABASE)
    }

    /// The URL of the cache.
    pub fn cache_url(&self) -> String {
        Valkey::url(self.cache.port())
    }
}

impl Drop for PrivateServers {
    fn drop(&mut self) {
        // Clones of the handles may remain; they are useless after this.
        both(|| self.postgres.stop_here(), || self.cache.stop_here());
        // A later start sweeps what cannot be removed now.
        let _ = self.home.remove();
    }
}

fn started(make: impl Fn(u16) -> Result<Server, StackError>) -> Result<Server, StackError> {
    let mut attempt = 1;
    loop {
        let server = make(free_port()?)?;
        match server.start_here() {
            Ok(()) => return Ok(server),
            Err(StackError::PortTaken { .. } | StackError::Ended { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends and removes the servers that killed tests left behind. A home's name begins with its process id.
pub(crate) fn sweep(local_dir: &Path) -> Result<(), StackError> {
    let all = local_dir.join("private");
    fs::create_dir_all(&all).at("make", &all)?;
    for entry in fs::read_dir(&all).at("read", &all)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let owner = name.split('-').next().and_then(|pid| pid.parse().ok());
        if owner.is_none_or(process::is_alive) {
            continue;
        }
        let home = Home::new(local_dir, &format!("private/{name}"), Data::Disposable);
        home.end_all()?;
        // Another test may be sweeping too (a race, and harmless).
        let _ = home.remove();
    }
    Ok(())
}
