//! What the live log costs the one who reads the answer as it is made.
//!
//! The product has no turn without it. So the bare turn is held against itself, with the product's own
//! recorder beside it: as that turn is the least that one can be, its share there is the largest.

use crate::Result;
use crate::load::{self, Load, Measured};
use crate::subject::{Process, Subject};
use crate::users::Users;

/// A load, without the log and with it.
pub(crate) struct LogCost {
    /// Streams at once.
    pub(crate) streams: usize,
    /// The bare turn.
    pub(crate) without: Measured,
    /// The same, recorded.
    pub(crate) with: Measured,
}

/// Runs each of `loads` with both, in turns.
pub(crate) async fn measure(
    loads: &[Load],
    bare: &Process,
    recorded: &Process,
    users: &Users,
) -> Result<Vec<LogCost>> {
    let mut costs = Vec::new();
    for load in loads {
        let (mut without, mut with) = (Measured::default(), Measured::default());
        for round in 0..=load.rounds {
            let mut pair =
                [(Subject::Bare, bare, &mut without), (Subject::Recorded, recorded, &mut with)];
            // Neither is always the one that comes second.
            if round % 2 == 1 {
                pair.reverse();
            }
            for (subject, process, measured) in pair {
                let before = process.cpu()?;
                let heard = load::round(subject, process, load, users).await?;
                // The first round opens what was not needed before.
                if round > 0 {
                    measured.cpu += process.cpu()?.saturating_sub(before);
                    measured.add(heard);
                }
            }
        }
        costs.push(LogCost { streams: load.streams, without, with });
    }
    Ok(costs)
}
