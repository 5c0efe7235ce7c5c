//! A server that can be started and stopped: Postgres or Valkey.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::StackError;
use crate::blocking::blocking;
use crate::error::At as _;
use crate::ports::is_free;
use crate::process::{self, POLL_INTERVAL};

/// Long enough for Postgres to recover a large database after a power cut.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the data survives a crash of the machine (not of the server).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// It does.
    Kept,
    /// It may be lost: test data, for which durable writes would take most of the tests' time.
    Disposable,
}

/// How Postgres and Valkey are started, and how they signal readiness.
pub(crate) trait Program: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;
    /// Its data directory, by which its processes are recognised.
    fn data(&self) -> &Path;
    /// The port for its clients.
    fn port(&self) -> u16;
    /// All ports that it listens on.
    fn ports(&self) -> Vec<u16>;
    /// The variable that sets its port.
    fn port_variable(&self) -> &'static str;
    /// Creates its files.
    fn prepare(&self) -> Result<(), StackError>;
    /// The command that runs it in the foreground.
    fn command(&self) -> Command;
    /// Whether the process `pid`, `age` after its start, serves clients; may take the last steps for that.
    fn is_ready(&self, pid: i32, age: Duration) -> bool;
    /// A hint for the user where it ended with this `log`, or empty; begins with a space.
    fn advice(&self, log: &str) -> &'static str;
}

/// A Postgres or a Valkey. Clones share one process; when the last is dropped, it ends.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    program: Box<dyn Program>,
    /// The process, if this handle owns it.
    process: Mutex<Option<Child>>,
}

impl Server {
    pub(crate) fn new(program: impl Program + 'static) -> Self {
        Self(Arc::new(Inner { program: Box::new(program), process: Mutex::new(None) }))
    }

    /// Starts it on its existing data, and returns when it is ready. Idempotent: does nothing if it runs.
    pub async fn start(&self) -> Result<(), StackError> {
        let this = self.clone();
        blocking(move || this.start_here()).await
    }

    /// Shuts it down gracefully: its clients lose their connections, its data stays.
    pub async fn stop(&self) {
        let this = self.clone();
        blocking(move || this.stop_here()).await;
    }

    pub(crate) fn stop_here(&self) {
        self.0.stop_here();
    }

    pub(crate) fn start_here(&self) -> Result<(), StackError> {
        let mut process = self.0.process();
        if let Some(child) = process.as_mut() {
            // Checks readiness: a process that was killed a moment ago still counts as running.
            let running = self.wait(process::number(child), || child.try_wait().ok().flatten());
            if running.is_ok() {
                return Ok(());
            }
        }
        let program = &*self.0.program;
        process::end_leftovers(program.data())?;
        for port in program.ports() {
            if !is_free(port) {
                return Err(StackError::PortTaken {
                    port,
                    server: program.name(),
                    variable: program.port_variable(),
                });
            }
        }
        program.prepare()?;
        let mut child = self.spawn()?;
        let pid = process::number(&child);
        match self.wait(pid, || child.try_wait().ok().flatten()) {
            Ok(()) => {
                *process = Some(child);
                Ok(())
            }
            Err(error) => {
                process::end(&mut child);
                Err(error)
            }
        }
    }

    /// Waits for a server that another process has started.
    pub(crate) fn adopt(&self, pid: i32) -> Result<(), StackError> {
        self.wait(pid, || None)
    }

    /// Gives up ownership: the server outlives this process.
    pub(crate) fn release(&self) {
        drop(self.0.process().take());
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.program.port()
    }

    fn spawn(&self) -> Result<Child, StackError> {
        let path = self.log();
        let log = File::create(&path).at("write", &path)?;
        let errors = log.try_clone().at("write", &path)?;
        let mut command = self.0.program.command();
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A process group of its own: Ctrl-C in a terminal reaches the whole group, but the server has
            // to serve until its owner has shut down gracefully.
            .process_group(0);
        command.spawn().map_err(|source| StackError::Run {
            program: command.get_program().into(),
            source,
            advice: self.0.program.advice(""),
        })
    }

    fn wait(
        &self,
        pid: i32,
        mut ended: impl FnMut() -> Option<std::process::ExitStatus>,
    ) -> Result<(), StackError> {
        let program = &*self.0.program;
        let given = Instant::now();
        while !program.is_ready(pid, given.elapsed()) {
            if let Some(status) = ended() {
                let tail = self.end_of_log();
                return Err(StackError::Ended {
                    server: program.name(),
                    status,
                    advice: program.advice(&tail),
                    log: self.log(),
                    tail,
                });
            }
            if given.elapsed() > PATIENCE {
                return Err(StackError::NotReady {
                    server: program.name(),
                    seconds: PATIENCE.as_secs(),
                    log: self.log(),
                    tail: self.end_of_log(),
                });
            }
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.0.program.data().with_extension("log")
    }

    fn end_of_log(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Inner {
    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        // A poisoned lock is harmless: a panic elsewhere does not change which process is ours.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_here(&self) {
        if let Some(mut child) = self.process().take() {
            process::end(&mut child);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop_here();
    }
}
