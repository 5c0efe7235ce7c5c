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

/// Lambda's timeout for a function's initialisation.
const PATIENCE: Duration = Duration::from_secs(10);

/// The measurements of a start.
pub(crate) struct Start {
    /// From `exec` to the first `GET /next`.
    pub(crate) next: Duration,
    /// Processor time until then.
    pub(crate) cpu: Duration,
    /// Resident memory at that moment, in KiB.
    pub(crate) resident: u64,
    /// Peak resident memory until then, in KiB.
    pub(crate) peak: u64,
}

/// Starts a function, and kills it when it asks for its first event.
pub(crate) async fn measure(binary: &Binary, environment: &Environment) -> Result<Start> {
    // A runtime API for this start alone: another start's request cannot be taken for its own.
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
    // Waits for its end, so that it takes no processor time from the next start.
    child.kill().await?;
    Ok(start)
}

/// Why a function did not ask for an event, with its log.
async fn stopped(binary: &Binary, child: &mut Child, what: &str) -> crate::Failure {
    let mut log = String::new();
    if let Some(stdout) = &mut child.stdout {
        // A partial log is better than none.
        let _ = stdout.read_to_string(&mut log).await;
    }
    format!("{} does not start: {what}\n{log}", binary.name).into()
}
