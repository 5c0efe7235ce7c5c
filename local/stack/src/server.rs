//! A server that can be started and stopped, whichever it is.

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

/// Enough for Postgres to mend a large database after a power cut.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of the data when the machine, not the server, stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// It is still there.
    Kept,
    /// Nobody would miss it, and writing it safely would cost the tests most of their time.
    Disposable,
}

/// The two programs: how they are run, and how they say that they are ready.
pub(crate) trait Program: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;
    /// Its data directory, by whose name its processes are recognised.
    fn data(&self) -> &Path;
    /// Where its clients reach it.
    fn port(&self) -> u16;
    /// All that it listens on.
    fn ports(&self) -> Vec<u16>;
    /// The variable that moves it.
    fn port_variable(&self) -> &'static str;
    /// Makes what it needs on disk.
    fn prepare(&self) -> Result<(), StackError>;
    /// Runs it in the foreground.
    fn command(&self) -> Command;
    /// Whether clients can use the process `pid`, up for `age`; may do what is missing for that.
    fn is_ready(&self, pid: i32, age: Duration) -> bool;
    /// What may help where it ended with this `log`, or nothing; begins with a space.
    fn advice(&self, log: &str) -> &'static str;
}

/// A Postgres or a Valkey. Clones speak of the same one; when the last is dropped, it ends.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    program: Box<dyn Program>,
    /// The process, if this is its owner.
    process: Mutex<Option<Child>>,
}

impl Server {
    pub(crate) fn new(program: impl Program + 'static) -> Self {
        Self(Arc::new(Inner { program: Box::new(program), process: Mutex::new(None) }))
    }

    /// Starts it on the data that it left, and returns when it is ready. Nothing happens if it runs.
    pub async fn start(&self) -> Result<(), StackError> {
        let this = self.clone();
        blocking(move || this.start_here()).await
    }

    /// Ends it as an administrator would: its clients lose their connections, its data stays.
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
            // Asked for readiness, because one that was killed a moment ago still counts as running.
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

    /// Lets it outlive this process.
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
            // Ctrl-C in a terminal reaches the whole process group: in one of its own, the server
            // keeps serving until its owner has let go of it in order.
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
        // A panic elsewhere does not change which process is ours.
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
