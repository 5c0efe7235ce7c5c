//! The extent of a run.

use std::time::Duration;

use crate::Result;
use crate::load::Load;
use crate::script::Script;

/// Chunks of a turn.
const CHUNKS: usize = 50;

/// The numbers of a run.
pub(crate) struct Plan {
    /// Users to sign in: at least as many as there are streams, and enough that each stays below the rate
    /// limit of 30 turns a minute.
    pub(crate) users: usize,
    /// The loads, the lightest first: peak memory is that of the heaviest load so far.
    pub(crate) loads: Vec<Load>,
    /// Turns for each number of following clients.
    pub(crate) followed_turns: usize,
    /// Rounds of stopped turns.
    pub(crate) stop_rounds: usize,
    /// Turns for each network delay.
    pub(crate) delayed_turns: usize,
    /// Turns for each silence before the first chunk.
    pub(crate) silent_turns: usize,
    /// Whether a missed target is a failure.
    pub(crate) strict: bool,
}

/// The number of starts of each function.
pub(crate) struct ColdPlan {
    /// Starts that are measured.
    pub(crate) rounds: usize,
    /// Warm-up starts, which bring the files into the page cache.
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

/// The options of a command line.
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

    /// Some four minutes.
    ///
    /// With more streams the chunks come more slowly: all processes of a turn share this machine, and
    /// otherwise only the queue for a busy processor would be measured.
    fn full() -> Self {
        Self {
            users: 600,
            loads: vec![load(1, 5, 30, 2), load(50, 20, 3, 3), load(500, 60, 2, 2)],
            followed_turns: 5,
            stop_rounds: 20,
            delayed_turns: 20,
            silent_turns: 15,
            strict: false,
        }
    }

    /// Some 50 seconds, without the heaviest load.
    fn quick() -> Self {
        Self {
            users: 200,
            loads: vec![load(1, 5, 8, 2), load(50, 20, 1, 2)],
            followed_turns: 1,
            stop_rounds: 3,
            delayed_turns: 10,
            silent_turns: 5,
            strict: false,
        }
    }
}

fn load(streams: usize, gap_ms: u64, rounds: usize, turns: usize) -> Load {
    Load { streams, script: Script::steady(CHUNKS, Duration::from_millis(gap_ms)), rounds, turns }
}
