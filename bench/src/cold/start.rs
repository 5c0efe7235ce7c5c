//! One start of one function.

use std::process::Stdio;
use std::time::{Duration, Instant};

use runtime_api::RuntimeApi;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::environment::Environment;
use crate::Result;
use crate::deployed::{Binary, lambda_variables};
use crate::usage::{cpu_of, peak_memory_of, resident_memory_of};

/// Lambda's own patience with a function that starts.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a start took.
pub(crate) struct Start {
    /// From `exec` to the first `GET /next`.
    pub(crate) next: Duration,
    /// Processor time until then.
    pub(crate) cpu: Duration,
    /// Resident memory at that moment, in KiB.
    pub(crate) resident: u64,
    /// The most resident memory until then, in KiB.
    pub(crate) peak: u64,
}

/// Starts a function, and ends it when it asks for an event.
pub(crate) async fn measure(binary: &Binary, environment: &Environment) -> Result<Start> {
    // For this start alone: nobody else's request can be taken for its own.
    let api = RuntimeApi::start().await?;
    let mut command = Command::new(&binary.path);
    command
        .env_clear()
        .envs(environment.variables.iter().map(|(name, value)| (name, value)))
        .envs(lambda_variables(&binary.name, api.address()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let began = Instant::now();
    let mut child = command.spawn()?;
    let next = tokio::select! {
        () = api.until_idle(1) => began.elapsed(),
        _ = child.wait() => return Err(stopped(binary, &mut child, "it ended").await),
        () = tokio::time::sleep(PATIENCE) => {
            child.start_kill()?;
            return Err(stopped(binary, &mut child, "it took too long").await);
        }
    };
    let pid = child.id().ok_or("a function has ended")?.to_string();
    let start = Start {
        next,
        cpu: cpu_of(&pid)?,
        resident: resident_memory_of(&pid)?,
        peak: peak_memory_of(&pid)?,
    };
    // Waited for, so that its end takes no time from the next.
    child.kill().await?;
    Ok(start)
}

/// Why a function never asked for an event: it says so in its log.
async fn stopped(binary: &Binary, child: &mut Child, what: &str) -> crate::Failure {
    let mut log = String::new();
    if let Some(stdout) = &mut child.stdout {
        // What can be read of it is better than nothing.
        let _ = stdout.read_to_string(&mut log).await;
    }
    format!("{} does not start: {what}\n{log}", binary.name).into()
}
