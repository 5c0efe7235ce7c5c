//! A directory in which one Postgres and one Valkey keep their data.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::StackError;
use crate::error::At as _;
use crate::install::{Programs, lock_file};
use crate::memory;
use crate::postgres::Postgres;
use crate::process;
use crate::server::{Data, Server};
use crate::valkey::Valkey;

/// Its possible subdirectories. A Postgres is initialised in `postgres.new` and then renamed.
const DIRECTORIES: [&str; 3] = ["postgres", "postgres.new", "valkey"];

/// A data directory in `.local`, with the programs that run there.
pub(crate) struct Home {
    local_dir: PathBuf,
    directory: PathBuf,
    kind: Data,
}

impl Home {
    /// `local_dir`/`name`. `local_dir` must be the canonical path that
    /// [`settings::made`](crate::settings::made) returns.
    pub(crate) fn new(local_dir: &Path, name: &str, kind: Data) -> Self {
        Self { local_dir: local_dir.to_owned(), directory: local_dir.join(name), kind }
    }

    /// Its path.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The lock file, whose lock entitles a process to start and stop servers here. It lies beside the
    /// directory, which may be removed under the lock.
    pub(crate) fn lock(&self) -> Result<File, StackError> {
        lock_file(&self.directory.with_extension("lock"))
    }

    /// Takes the lock, or fails with [`StackError::Running`] if another process holds it.
    pub(crate) fn lock_at_once(&self) -> Result<File, StackError> {
        let lock = self.lock()?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => {
                Err(StackError::Running { directory: self.directory.clone() })
            }
            Err(TryLockError::Error(error)) => Err(error).at("lock", &self.directory),
        }
    }

    /// Waits for the lock and takes it.
    pub(crate) fn lock_in_turn(&self) -> Result<File, StackError> {
        let lock = self.lock()?;
        lock.lock().at("lock", &self.directory)?;
        Ok(lock)
    }

    /// A Postgres with its data here, not started.
    pub(crate) fn postgres(&self, port: u16) -> Result<Server, StackError> {
        let programs = self.programs("postgres")?;
        let postgres = Postgres::new(programs, &self.directory, port, self.kind);
        Ok(Server::new(postgres))
    }

    /// A Valkey with its data here, not started.
    pub(crate) fn valkey(&self, port: u16) -> Result<Server, StackError> {
        let programs = self.programs("valkey")?;
        let valkey = Valkey::new(programs, &self.directory, port, self.kind);
        Ok(Server::new(valkey))
    }

    /// The data directory of `server`, by its directory's name.
    pub(crate) fn data(&self, server: &str) -> PathBuf {
        self.directory.join(server)
    }

    /// Ends all servers here, whichever process started them.
    pub(crate) fn end_all(&self) -> Result<(), StackError> {
        DIRECTORIES.iter().try_for_each(|name| self.end(name))
    }

    /// Ends `server`, whichever process started it.
    pub(crate) fn end(&self, server: &str) -> Result<(), StackError> {
        process::end_leftovers(&self.data(server))
    }

    /// Removes all data.
    pub(crate) fn remove(&self) -> Result<(), StackError> {
        for name in DIRECTORIES {
            self.remove_data(name)?;
        }
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.at("remove", &self.directory),
        }
    }

    /// Removes the data of `server`.
    pub(crate) fn remove_data(&self, server: &str) -> Result<(), StackError> {
        memory::remove(&self.data(server))
    }

    fn programs(&self, part: &str) -> Result<Programs, StackError> {
        fs::create_dir_all(&self.directory).at("make", &self.directory)?;
        Programs::installed(&self.local_dir, part)
    }
}
