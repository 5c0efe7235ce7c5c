//! What can go wrong with the servers, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use shared_core::env::ConfigError;

/// The servers cannot be started or reached. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A variable has an invalid value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file system refused an operation.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// The operation, worded to follow "cannot".
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A program cannot be run.
    #[error("cannot run {}: {source}.{advice}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
        /// A hint, or empty; begins with a space.
        advice: &'static str,
    },
    /// The installer failed; it wrote its reasons to this process's standard error.
    #[error("{} failed ({status}); what it wrote says what to do", script.display())]
    Install {
        /// `local/install`.
        script: PathBuf,
        /// Its exit status.
        status: ExitStatus,
    },
    /// Another process listens on the port.
    #[error(
        "port {port} of 127.0.0.1 is taken, and {server} wants it: stop what listens there (`ss -ltnp` \
         names it), or set {variable} to a free port"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The server that needs it.
        server: &'static str,
        /// The variable that sets another port.
        variable: &'static str,
    },
    /// Everything between 22768 and 32768 is taken.
    #[error("no port of 127.0.0.1 from 22768 to 32767 is free")]
    NoFreePort,
    /// Another process runs the servers of this checkout.
    #[error(
        "the servers in {} run already: stop the process that started them (Ctrl-C where `make dev` runs)",
        directory.display()
    )]
    Running {
        /// Their data directory.
        directory: PathBuf,
    },
    /// A server ended before it was ready.
    #[error("{server} ended before it was ready ({status}).{advice}\nThe end of {}:\n{tail}", log.display())]
    Ended {
        /// The server.
        server: &'static str,
        /// Its exit status.
        status: ExitStatus,
        /// A hint, or empty; begins with a space.
        advice: &'static str,
        /// The path of its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server runs but does not become ready.
    #[error("{server} was not ready after {seconds} s. The end of {}:\n{tail}", log.display())]
    NotReady {
        /// The server.
        server: &'static str,
        /// The timeout.
        seconds: u64,
        /// The path of its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A process survives even SIGKILL, or belongs to another user.
    #[error("process {pid} still holds {} and cannot be ended: end it yourself (kill -9 {pid})", data.display())]
    Lingers {
        /// The process id.
        pid: i32,
        /// The data directory it works in.
        data: PathBuf,
    },
    /// The test server refused a statement.
    #[error("cannot {doing}: {source}")]
    Database {
        /// The operation, worded to follow "cannot".
        doing: &'static str,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// The template of the test databases cannot be migrated.
    #[error(transparent)]
    Migrate(#[from] shared_postgres::MigrateError),
}

/// Adds the operation and the path to an I/O error.
pub(crate) trait At<T> {
    /// `doing` is worded to follow "cannot".
    fn at(self, doing: &'static str, path: &Path) -> Result<T, StackError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, StackError> {
        self.map_err(|source| StackError::File { doing, path: path.to_owned(), source })
    }
}
