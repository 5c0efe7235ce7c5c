//! The extent of a run.

use std::time::Duration;

use crate::Result;
use crate::load::Load;
use crate::script::Script;

/// Chunks of a turn.
const CHUNKS: usize = 50;

/// The numbers of a run.
pub(crate) struct Plan {
    /// Users to sign in: twice as many as there are streams, so that no user's next turn comes before the one
    /// before it has ended, and enough that each stays below the rate limit of 60 turns a minute.
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
    /// Rounds of turns for each user whose history grows.
    pub(crate) growth_rounds: usize,
    /// Fresh environments.
    pub(crate) environments: usize,
    /// Rounds of deliveries to the webhook for each number at once.
    pub(crate) webhook_rounds: usize,
    /// Rounds of declared uploads for each number at once.
    pub(crate) upload_rounds: usize,
    /// Rounds of turns with and without an image.
    pub(crate) image_rounds: usize,
    /// How often a photo is inspected.
    pub(crate) inspections: usize,
    /// Whether the peer on Bun takes part.
    pub(crate) bun: bool,
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
        let Options { quick, strict, bun } = Options::parse(options)?;
        if bun {
            return Err("no peer starts cold".into());
        }
        Ok(Self { rounds: if quick { 15 } else { 60 }, warm_up: 5, strict })
    }
}

/// The options of a command line.
struct Options {
    quick: bool,
    strict: bool,
    bun: bool,
}

impl Options {
    fn parse(options: &[String]) -> Result<Self> {
        let mut all = Self { quick: false, strict: false, bun: false };
        for option in options {
            match option.as_str() {
                "--quick" => all.quick = true,
                "--strict" => all.strict = true,
                "--peer=bun" => all.bun = true,
                other => {
                    let known = "--quick, --strict and --peer=bun";
                    return Err(format!("there is no option {other}; {known}").into());
                }
            }
        }
        Ok(all)
    }
}

impl Plan {
    /// Reads the options of the command line.
    pub(crate) fn from_options(options: &[String]) -> Result<Self> {
        let Options { quick, strict, bun } = Options::parse(options)?;
        let plan = if quick { Self::quick() } else { Self::full() };
        Ok(Self { bun, strict, ..plan })
    }

    /// Some six minutes.
    ///
    /// With more streams the chunks come more slowly: all processes of a turn share this machine, and
    /// otherwise only the queue for a busy processor would be measured, as the last load does on purpose.
    fn full() -> Self {
        Self {
            users: 1000,
            loads: vec![
                load(1, 5, 30, 2),
                load(50, 20, 3, 3),
                load(500, 60, 2, 2),
                Load { is_excessive: true, ..load(500, 20, 2, 3) },
            ],
            followed_turns: 5,
            stop_rounds: 20,
            delayed_turns: 20,
            silent_turns: 15,
            growth_rounds: 4,
            environments: 30,
            webhook_rounds: 8,
            upload_rounds: 8,
            image_rounds: 20,
            inspections: 15,
            bun: false,
            strict: false,
        }
    }

    /// Some two minutes.
    fn quick() -> Self {
        Self {
            users: 1000,
            loads: vec![
                load(1, 5, 8, 2),
                load(50, 20, 1, 2),
                load(500, 60, 1, 1),
                Load { is_excessive: true, ..load(500, 20, 1, 2) },
            ],
            followed_turns: 1,
            stop_rounds: 3,
            delayed_turns: 10,
            silent_turns: 5,
            growth_rounds: 1,
            environments: 10,
            webhook_rounds: 2,
            upload_rounds: 2,
            image_rounds: 6,
            inspections: 5,
            bun: false,
            strict: false,
        }
    }
}

fn load(streams: usize, gap_ms: u64, rounds: usize, turns: usize) -> Load {
    let script = Script::steady(CHUNKS, Duration::from_millis(gap_ms));
    Load { streams, script, rounds, turns, is_excessive: false }
}
