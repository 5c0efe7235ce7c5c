//! How Postgres is initialised, configured and started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::StackError;
use crate::error::At as _;
use crate::install::Programs;
use crate::memory;
use crate::ports::is_free;
use crate::process;
use crate::server::{Data, Program};
use crate::unprivileged::User;

/// The superuser, owner of every schema here.
pub(crate) const OWNER: &str = "postgres";
/// The role of the app, made by the first migration.
pub(crate) const APP: &str = "app_user";
pub(crate) const MONEY: &str = "app_money";
/// The default database, which exists from the beginning.
pub(crate) const DATABASE: &str = "postgres";

/// `pg_hba.conf`: every role, from this machine, without a password.
const ACCESS: &str = "host all all 127.0.0.1/32 trust\n";

pub(crate) struct Postgres {
    programs: Programs,
    user: User,
    data: PathBuf,
    port: u16,
    kind: Data,
}

impl Postgres {
    /// A Postgres with its data in `directory`/postgres.
    pub(crate) fn new(programs: Programs, directory: &Path, port: u16, kind: Data) -> Self {
        Self { programs, user: User::of_postgres(), data: directory.join("postgres"), port, kind }
    }

    /// `postgres://role@127.0.0.1:port/database`.
    pub(crate) fn url(role: &str, port: u16, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{port}/{database}")
    }

    fn initdb(&self, data: &Path) -> Result<(), StackError> {
        let program = self.programs.path("initdb");
        let mut command = self.user.command(&program);
        command
            .arg("-D")
            .arg(data)
            .args(["-U", OWNER, "--auth=trust", "--encoding=UTF8"])
            // Skips fsync: the kernel writes the files within half a minute, and they hold nothing of value
            // so soon.
            .args(["--no-sync", "--no-instructions"]);
        // Sorting by code point is the fastest and the same on every system.
        if cfg!(target_os = "macos") {
            command.args(["--lc-collate=C", "--lc-ctype=en_US.UTF-8"]);
        } else {
            command.arg("--locale=C.UTF-8");
        }
        let output = command.stdin(Stdio::null()).output().map_err(|source| StackError::Run {
            program: command.get_program().into(),
            source,
            advice: self.user.advice(),
        })?;
        let log = self.data.with_extension("log");
        fs::write(&log, &output.stderr).at("write", &log)?;
        if output.status.success() {
            return Ok(());
        }
        Err(StackError::Ended {
            server: "Postgres' initdb",
            status: output.status,
            advice: self.user.advice(),
            log,
            tail: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Program for Postgres {
    fn name(&self) -> &'static str {
        "Postgres"
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn ports(&self) -> Vec<u16> {
        vec![self.port]
    }

    fn port_variable(&self) -> &'static str {
        "LOCAL_POSTGRES_PORT"
    }

    fn prepare(&self) -> Result<(), StackError> {
        if self.data.join("PG_VERSION").exists() {
            return Ok(());
        }
        // Initialises it in another directory and renames that: an incomplete database would fail at every
        // start.
        let new = self.data.with_extension("new");
        process::end_leftovers(&new)?;
        memory::remove(&new)?;
        match self.kind {
            Data::Kept => fs::create_dir_all(&new).at("make", &new)?,
            Data::Disposable => {
                // Removes a link whose target in memory was lost when the machine was switched off.
                memory::remove(&self.data)?;
                memory::make(&new)?;
            }
        }
        self.user.own(&new).at("give to Postgres' user", &new)?;
        self.initdb(&new)?;
        let access = new.join("pg_hba.conf");
        fs::write(&access, ACCESS).at("write", &access)?;
        fs::rename(&new, &self.data).at("move into its place", &new)
    }

    fn command(&self) -> Command {
        let mut command = self.user.command(&self.programs.path("postgres"));
        command.arg("-D").arg(&self.data);
        command.arg("-p").arg(self.port.to_string());
        // No Unix socket: its path may be too long, and /tmp is shared by all users.
        command.args(["-h", "127.0.0.1", "-k", ""]);
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("timezone", "UTC");
        set("log_timezone", "UTC");
        // No replication.
        set("wal_level", "minimal");
        set("max_wal_senders", "0");
        // Short queries do not repay JIT compilation.
        set("jit", "off");
        match self.kind {
            Data::Kept => set("max_connections", "100"),
            Data::Disposable => {
                // Commits still survive a crash of the server (not of the machine), which failure tests
                // rely on: `synchronous_commit = off` would lose them, and gains nothing without fsync.
                set("fsync", "off");
                set("full_page_writes", "off");
                // Many tests at once, each with a connection pool.
                set("max_connections", "300");
                // Dropping a database scans all buffers for its pages.
                set("shared_buffers", "32MB");
                // The data may lie in memory, which a large WAL would waste.
                set("max_wal_size", "128MB");
                // A killed server would otherwise leave shared memory in /dev/shm after its data is
                // removed.
                set("dynamic_shared_memory_type", "mmap");
                // A test's database is dropped before it needs vacuuming.
                set("autovacuum", "off");
            }
        }
        command
    }

    /// Reads `postmaster.pid`: the process id on the first line, "ready" on the eighth. A killed server
    /// leaves the file behind, hence the checks of process and port.
    fn is_ready(&self, pid: i32, _age: Duration) -> bool {
        let status = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = status.lines().map(str::trim);
        lines.next() == Some(&pid.to_string())
            && lines.nth(6) == Some("ready")
            && !is_free(self.port)
    }

    fn advice(&self, log: &str) -> &'static str {
        if log.contains("incompatible with server") {
            " Another version of Postgres made this data: `make dev-reset` removes it."
        } else {
            self.user.advice()
        }
    }
}
