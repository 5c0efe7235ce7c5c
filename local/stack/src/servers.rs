//! The servers of `make dev`.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::blocking::{blocking, both};
use crate::home::Home;
use crate::postgres::{self, Postgres};
use crate::server::{Data, Server};
use crate::valkey::Valkey;
use crate::{Settings, StackError, settings};

/// One Postgres and one Valkey with persistent data, or others that the settings name.
///
/// One process at a time owns them: a second start in the same checkout is refused. If the owner is killed,
/// they keep running, and the next start ends them. Dropped, they end.
pub struct Servers {
    postgres: Option<Server>,
    cache: Option<Server>,
    database_url: String,
    database_owner_url: String,
    cache_url: String,
    directory: PathBuf,
    /// Dropped last, in the order of the fields: released when nothing runs any more.
    lock: File,
}

impl Servers {
    /// Starts those that the settings do not name, both at the same time, and returns when both are ready.
    pub async fn start(settings: Settings) -> Result<Self, StackError> {
        blocking(move || Self::start_here(settings)).await
    }

    fn start_here(settings: Settings) -> Result<Self, StackError> {
        let home = home(&settings)?;
        let lock = home.lock_at_once()?;
        let directory = home.directory().to_owned();
        let (postgres_port, cache_port) = (settings.postgres_port, settings.cache_port);
        let (postgres, cache) = both(
            || started_unless(settings.database_url.as_ref(), || home.postgres(postgres_port)),
            || started_unless(settings.cache_url.as_ref(), || home.valkey(cache_port)),
        );
        let own = |role| Postgres::url(role, postgres_port, postgres::DATABASE);
        Ok(Self {
            postgres: postgres?,
            cache: cache?,
            database_owner_url: settings
                .database_owner_url
                .or_else(|| settings.database_url.clone())
                .unwrap_or_else(|| own(postgres::OWNER)),
            database_url: settings.database_url.unwrap_or_else(|| own(postgres::APP)),
            cache_url: settings.cache_url.unwrap_or_else(|| Valkey::url(cache_port)),
            directory,
            lock,
        })
    }

    /// The app's URL of its database. The first migration creates its role.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The owner's URL of the same database, for migrating it.
    pub fn database_owner_url(&self) -> &str {
        &self.database_owner_url
    }

    /// The URL of the app's cache.
    pub fn cache_url(&self) -> &str {
        &self.cache_url
    }

    /// The data directory, existing or not. Other files there are [removed](forget) with it, and belong to
    /// one process at a time as well.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends gracefully what [`Servers::start`] started. The data stays.
    pub async fn stop(self) {
        let Self { postgres, cache, lock, .. } = self;
        blocking(move || {
            both(|| drop(postgres), || drop(cache));
            drop(lock);
        })
        .await;
    }
}

/// Removes all data of `make dev`. Refused while a process uses it.
pub async fn forget(settings: Settings) -> Result<(), StackError> {
    blocking(move || {
        let home = home(&settings)?;
        let _lock = home.lock_at_once()?;
        home.end_all()?;
        home.remove()
    })
    .await
}

fn started_unless(
    given: Option<&String>,
    server: impl FnOnce() -> Result<Server, StackError>,
) -> Result<Option<Server>, StackError> {
    if given.is_some() {
        return Ok(None);
    }
    let server = server()?;
    server.start_here()?;
    Ok(Some(server))
}

fn home(settings: &Settings) -> Result<Home, StackError> {
    let local_dir = settings::made(&settings.local_dir)?;
    Ok(Home::new(&local_dir, "dev", Data::Kept))
}
