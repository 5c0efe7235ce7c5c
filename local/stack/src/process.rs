//! Finds and ends this checkout's server processes.
//!
//! A server is identified by what the kernel says about it: its program's name and its data directory. A
//! pid file could be missing (its owner was killed before writing it) or name a process id that the kernel
//! has reused for another program.

use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::StackError;

/// The interval at which waiting code looks at processes.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The timeout of a graceful shutdown.
const PATIENCE: Duration = Duration::from_secs(10);
/// The timeout after SIGKILL.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Graceful shutdown of both: Postgres and Valkey end their sessions and keep their data. (At SIGTERM,
/// Postgres would wait for its clients to disconnect.)
const IN_ORDER: Signal = Signal::INT;

const PROGRAMS: [&str; 3] = ["postgres", "initdb", "valkey-server"];

/// A process that works in a data directory.
pub(crate) struct Found {
    pid: Pid,
    /// Its command line, the program first.
    arguments: Vec<String>,
    /// Whether it is the server itself, not one of its helper processes.
    pub(crate) leads: bool,
}

impl Found {
    pub(crate) fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The argument that follows `flag`.
    pub(crate) fn argument(&self, flag: &str) -> Option<&str> {
        let mut arguments = self.arguments.iter();
        arguments.find(|argument| *argument == flag)?;
        arguments.next().map(String::as_str)
    }
}

/// Our programs that were started with `data` or have it as their working directory. The latter finds
/// Postgres' helpers: when it is killed, they may outlive it for a moment and keep it from starting.
pub(crate) fn working_in(data: &Path) -> Vec<Found> {
    // The kernel shows resolved paths only.
    let real = data.canonicalize().ok();
    all()
        .into_iter()
        .filter(|(found, _)| is_ours(found))
        .filter_map(|(found, directory)| {
            let leads = found.arguments.iter().any(|it| Path::new(it) == data);
            let works_here = leads || (real.is_some() && directory == real);
            works_here.then_some(Found { leads, ..found })
        })
        .collect()
}

/// Whether the process runs one of our programs. A helper's title adds its task: `postgres: checkpointer`.
fn is_ours(found: &Found) -> bool {
    let program = found.arguments.first().map_or("", String::as_str);
    let program = program.split(": ").next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    PROGRAMS.contains(&name)
}

/// Whether a process with this id exists, of whichever user.
pub(crate) fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// The process id, in the type that signals take.
pub(crate) fn number(child: &Child) -> i32 {
    // Process ids are small and positive; 0 is no process.
    i32::try_from(child.id()).unwrap_or_default()
}

/// Ends a server that this process started: gracefully, then by force.
pub(crate) fn end(child: &mut Child) {
    if let Some(pid) = Pid::from_raw(number(child)) {
        // An error means that it has ended already; the wait below finds out.
        let _ = kill_process(pid, IN_ORDER);
        let given = Instant::now();
        while given.elapsed() < PATIENCE {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            sleep(POLL_INTERVAL);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends the servers that work in `data` and whose owner is gone.
pub(crate) fn end_leftovers(data: &Path) -> Result<(), StackError> {
    let left = working_in(data);
    if left.iter().any(|found| found.leads) {
        // Signals the server only: it ends its helpers, some of which interpret the same signal
        // differently.
        for found in left.iter().filter(|found| found.leads) {
            let _ = kill_process(found.pid, IN_ORDER);
        }
        if none_within(data, PATIENCE) {
            return Ok(());
        }
    }
    for found in working_in(data) {
        let _ = kill_process(found.pid, Signal::KILL);
    }
    if none_within(data, LAST_PATIENCE) {
        return Ok(());
    }
    match working_in(data).first() {
        None => Ok(()),
        Some(found) => Err(StackError::Lingers { pid: found.number(), data: data.to_owned() }),
    }
}

fn none_within(data: &Path, patience: Duration) -> bool {
    let given = Instant::now();
    while !working_in(data).is_empty() {
        if given.elapsed() > patience {
            return false;
        }
        sleep(POLL_INTERVAL);
    }
    true
}

fn found(pid: Pid, arguments: Vec<String>) -> Found {
    Found { pid, arguments, leads: false }
}

/// All visible processes with their arguments and working directories.
#[cfg(target_os = "linux")]
fn all() -> Vec<(Found, Option<std::path::PathBuf>)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let pid = Pid::from_raw(pid)?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let arguments = line
                .split(|byte| *byte == 0)
                .map(|argument| String::from_utf8_lossy(argument).into_owned())
                .collect();
            let directory = std::fs::read_link(entry.path().join("cwd")).ok();
            Some((found(pid, arguments), directory))
        })
        .collect()
}

/// All processes with their arguments; systems without `/proc` tell no working directory.
#[cfg(not(target_os = "linux"))]
fn all() -> Vec<(Found, Option<std::path::PathBuf>)> {
    let listed = std::process::Command::new("ps").args(["-axo", "pid=,args="]).output();
    let Ok(listed) = listed else {
        return Vec::new();
    };
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let pid = Pid::from_raw(words.next()?.parse().ok()?)?;
            let arguments = words.map(str::to_owned).collect();
            Some((found(pid, arguments), None))
        })
        .collect()
}
