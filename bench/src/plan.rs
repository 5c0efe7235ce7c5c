//! How much is measured.

use std::time::Duration;

use crate::Result;
use crate::load::Load;
use crate::script::Script;

/// Chunks of a turn.
const CHUNKS: usize = 50;

/// What a run does.
pub(crate) struct Plan {
    /// Users to sign in: at least as many as there are streams, and enough that nobody begins more
    /// than 30 turns a minute.
    pub(crate) users: usize,
    /// The loads, the lightest first: the peak of memory is that of the heaviest so far.
    pub(crate) loads: Vec<Load>,
    /// The loads of turns with a live log and without one.
    pub(crate) logged: Vec<Load>,
    /// Turns for each number of followers.
    pub(crate) followed_turns: usize,
    /// Rounds of turns that are stopped.
    pub(crate) stop_rounds: usize,
    /// Turns for each delay in the network.
    pub(crate) delayed_turns: usize,
    /// Turns for each silence before the first chunk.
    pub(crate) silent_turns: usize,
    /// Whether a missed target is a failure.
    pub(crate) strict: bool,
}

/// How often each function is started.
pub(crate) struct ColdPlan {
    /// Starts that count.
    pub(crate) rounds: usize,
    /// Starts before them, which bring the files into memory.
    pub(crate) warm_up: usize,
    /// Whether a missed target is a failure.
    pub(crate) strict: bool,
}

impl ColdPlan {
    /// Reads the options of the command line.
    pub(crate) fn from_options(options: &[String]) -> Result<Self> {
        let Options { quick, strict } = Options::parse(options)?;
        Ok(Self { rounds: if quick { 15 } else { 60 }, warm_up: 5, strict })
    }
}

/// What a command line may say.
struct Options {
    quick: bool,
    strict: bool,
}

impl Options {
    fn parse(options: &[String]) -> Result<Self> {
        let (mut quick, mut strict) = (false, false);
        for option in options {
            match option.as_str() {
                "--quick" => quick = true,
                "--strict" => strict = true,
                other => {
                    return Err(format!("there is no option {other}; --quick and --strict").into());
                }
            }
        }
        Ok(Self { quick, strict })
    }
}

impl Plan {
    /// Reads the options of the command line.
    pub(crate) fn from_options(options: &[String]) -> Result<Self> {
        let Options { quick, strict } = Options::parse(options)?;
        let plan = if quick { Self::quick() } else { Self::full() };
        Ok(Self { strict, ..plan })
    }

    /// Some six minutes.
    ///
    /// The more streams, the slower each: all processes of a turn share this machine, and a queue
    /// before a busy processor would be all that is measured.
    fn full() -> Self {
        Self {
            users: 600,
            loads: vec![load(1, 5, 30, 2), load(50, 20, 3, 3), load(500, 60, 2, 2)],
            logged: vec![short_load(1, 5, 100), short_load(50, 20, 15)],
            followed_turns: 5,
            stop_rounds: 20,
            delayed_turns: 20,
            silent_turns: 15,
            strict: false,
        }
    }

    /// Some 80 seconds, without the heaviest load.
    fn quick() -> Self {
        Self {
            users: 200,
            loads: vec![load(1, 5, 8, 2), load(50, 20, 1, 2)],
            logged: vec![short_load(1, 5, 20), short_load(50, 20, 3)],
            followed_turns: 1,
            stop_rounds: 3,
            delayed_turns: 10,
            silent_turns: 5,
            strict: false,
        }
    }
}

/// Many short rounds: two subjects that differ by little are to meet the same machine.
fn short_load(streams: usize, gap_ms: u64, rounds: usize) -> Load {
    let script = Script::steady(CHUNKS / 2, Duration::from_millis(gap_ms));
    Load { script, ..load(streams, gap_ms, rounds, 2) }
}

fn load(streams: usize, gap_ms: u64, rounds: usize, turns: usize) -> Load {
    Load { streams, script: Script::steady(CHUNKS, Duration::from_millis(gap_ms)), rounds, turns }
}
