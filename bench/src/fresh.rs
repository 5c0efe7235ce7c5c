//! The first turns of a fresh function environment: the deployed binary, started for three turns.

use std::path::Path;
use std::time::Duration;

use runtime_api::RuntimeApi;
use tokio::time::sleep;

use crate::Result;
use crate::runtime::{start, turn};
use crate::script::Script;
use crate::statistics::percentile;
use crate::subject::Variables;
use crate::users::Users;

/// Turns of each environment.
const TURNS: usize = 3;
/// The model answers at once, so that the time to the first word includes all of the turn's beginning.
const SCRIPT: Script =
    Script { silence: Duration::ZERO, ..Script::steady(3, Duration::from_millis(5)) };

/// How long an environment may rest, to finish what it does in the background when it starts.
const REST: Duration = Duration::from_millis(300);

/// The median times to the first word of an environment's turns, in milliseconds, without the upstream's
/// share.
pub(crate) struct Fresh {
    /// Where the first event waits already: connections are opened first, of which no later turn needs any.
    pub(crate) at_once: [f64; TURNS],
    /// Where it comes once the environment has finished what it does in the background when it starts.
    pub(crate) rested: [f64; TURNS],
}

/// Starts `binary`, that of `chat-stream`, `environments` times for each.
pub(crate) async fn measure(
    binary: &Path,
    variables: &Variables,
    users: &Users,
    environments: usize,
) -> Result<Fresh> {
    let mut variables = variables.clone();
    for (name, value) in &mut variables {
        if *name == "DATABASE_POOL_SIZE" {
            // As deployed: an environment serves one request at a time.
            "1".clone_into(value);
        }
    }
    let (mut at_once, mut rested) = Default::default();
    for _ in 0..environments {
        first_turns(binary, &variables, users, Duration::ZERO, &mut at_once).await?;
        first_turns(binary, &variables, users, REST, &mut rested).await?;
    }
    let median = |times: Vec<u64>| percentile(&times, 50) / 1e6;
    Ok(Fresh { at_once: at_once.map(median), rested: rested.map(median) })
}

async fn first_turns(
    binary: &Path,
    variables: &Variables,
    users: &Users,
    rest: Duration,
    times: &mut [Vec<u64>; TURNS],
) -> Result<()> {
    let api = RuntimeApi::start().await?;
    let mut process = start(binary, variables, &api)?;
    api.until_idle(1).await;
    sleep(rest).await;
    for times in times {
        times.push(turn(&api, &users.next(), &SCRIPT).await?.first);
    }
    Ok(process.kill().await?)
}
