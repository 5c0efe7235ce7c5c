//! What can be wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use shared_core::env::ConfigError;

/// The servers cannot be had. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A variable makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file system refuses.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, worded to follow "cannot".
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program cannot be run.
    #[error("cannot run {}: {source}.{advice}", program.display())]
    Run {
        /// Which one.
        program: PathBuf,
        /// Why not.
        source: io::Error,
        /// What may help, or nothing; begins with a space.
        advice: &'static str,
    },
    /// The installer failed; it wrote its reasons to this process's standard error.
    #[error("{} failed ({status}); what it wrote says what to do", script.display())]
    Install {
        /// `local/install`.
        script: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// Somebody else listens on the port.
    #[error(
        "port {port} of 127.0.0.1 is taken, and {server} wants it: stop what listens there (`ss -ltnp` \
         names it), or set {variable} to a free port"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// Who wants it.
        server: &'static str,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// Everything between 22768 and 32768 is taken.
    #[error("no port of 127.0.0.1 from 22768 to 32767 is free")]
    NoFreePort,
    /// The servers of this checkout run already, for another process.
    #[error(
        "the servers in {} run already: stop whoever started them (Ctrl-C where `make dev` runs)",
        directory.display()
    )]
    Running {
        /// Their data.
        directory: PathBuf,
    },
    /// A server ended before it was ready.
    #[error("{server} ended before it was ready ({status}).{advice}\nThe end of {}:\n{tail}", log.display())]
    Ended {
        /// Which one.
        server: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What may help, or nothing; begins with a space.
        advice: &'static str,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server runs but does not become ready.
    #[error("{server} was not ready after {seconds} s. The end of {}:\n{tail}", log.display())]
    NotReady {
        /// Which one.
        server: &'static str,
        /// How long it was given.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A process outlives even SIGKILL, or is not ours to end.
    #[error("process {pid} still holds {} and cannot be ended: end it yourself (kill -9 {pid})", data.display())]
    Lingers {
        /// The process.
        pid: i32,
        /// The data directory it works in.
        data: PathBuf,
    },
    /// The test server refuses a statement.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was tried, worded to follow "cannot".
        doing: &'static str,
        /// Why not.
        source: tokio_postgres::Error,
    },
    /// The template of the test databases cannot be made.
    #[error(transparent)]
    Migrate(#[from] shared_postgres::MigrateError),
}

/// Adds to an I/O error what was tried and where.
pub(crate) trait At<T> {
    /// `doing` is worded to follow "cannot".
    fn at(self, doing: &'static str, path: &Path) -> Result<T, StackError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, StackError> {
        self.map_err(|source| StackError::File { doing, path: path.to_owned(), source })
    }
}
