//! What the live log adds to a turn for the client that receives the stream.
//!
//! The product has no turn without it. So the bare turn is measured with and without the product's own log
//! writer: the bare turn is the least that a turn can be, so the log's relative cost is the largest there.

use crate::Result;
use crate::load::{self, Load, Measured};
use crate::subject::{Process, Subject};
use crate::users::Users;

/// One load, with and without the live log.
pub(crate) struct LogCost {
    /// Concurrent streams.
    pub(crate) streams: usize,
    /// The bare turn.
    pub(crate) without: Measured,
    /// The bare turn with a live log.
    pub(crate) with: Measured,
}

/// Runs each of `loads` both ways, alternating.
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
            // Alternates which one is measured second.
            if round % 2 == 1 {
                pair.reverse();
            }
            for (subject, process, measured) in pair {
                let before = process.cpu()?;
                let times = load::round(subject, process, load, users).await?;
                // The first round is a warm-up.
                if round > 0 {
                    measured.cpu += process.cpu()?.saturating_sub(before);
                    measured.add(times);
                }
            }
        }
        costs.push(LogCost { streams: load.streams, without, with });
    }
    Ok(costs)
}
