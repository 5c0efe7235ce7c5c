//! Many concurrent streams, one subject after the other in short rounds: other load of the machine affects
//! all of them alike.

use std::time::Duration;

use tokio::time::sleep;

use crate::Result;
use crate::client::{Reader, TurnTimes, chat_request, direct_request};
use crate::script::Script;
use crate::stack::Stack;
use crate::statistics::float;
use crate::subject::{Process, Subject};
use crate::users::Users;

/// A number of streams, and how often they run.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Concurrent streams.
    pub(crate) streams: usize,
    /// The script of each turn.
    pub(crate) script: Script,
    /// Rounds for each subject.
    pub(crate) rounds: usize,
    /// Turns of each stream in a round.
    pub(crate) turns: usize,
}

/// The measurements of a load for one subject.
#[derive(Default)]
pub(crate) struct Measured {
    /// [`TurnTimes::first`] of each turn.
    pub(crate) first: Vec<u64>,
    /// [`TurnTimes::late`] of each chunk.
    pub(crate) late: Vec<u64>,
    /// The processor time of the subject.
    pub(crate) cpu: Duration,
    /// The processor time of Postgres in the same period.
    pub(crate) database_cpu: Duration,
    /// The subject's peak memory so far, in KiB.
    pub(crate) peak_memory: u64,
}

impl Measured {
    /// Milliseconds of processor time for each turn, which is seconds for a thousand turns.
    pub(crate) fn cpu_per_turn(&self) -> f64 {
        1e3 * self.cpu.as_secs_f64() / float(self.first.len() as u64)
    }
}

/// The subjects under load.
pub(crate) struct Subjects {
    /// The upstream.
    pub(crate) upstream: Process,
    /// The bare turn.
    pub(crate) bare: Process,
    /// The product.
    pub(crate) local: Process,
}

impl Subjects {
    fn each(&self) -> [(Subject, &Process); 3] {
        [
            (Subject::Upstream, &self.upstream),
            (Subject::Bare, &self.bare),
            (Subject::Local, &self.local),
        ]
    }
}

/// Runs two turns of every user with each subject, so that connections are open, statements are prepared, and
/// chats have a history.
pub(crate) async fn warm_up(subjects: &Subjects, users: &Users) -> Result<()> {
    let streams = 8;
    let load = Load {
        streams,
        script: Script::steady(3, Duration::ZERO),
        rounds: 1,
        turns: (2 * users.count()).div_ceil(streams),
    };
    for (subject, process) in subjects.each() {
        round(subject, process, &load, users).await?;
    }
    Ok(())
}

/// Runs `load` against all subjects.
pub(crate) async fn run(
    load: &Load,
    subjects: &Subjects,
    users: &Users,
    stack: &Stack,
) -> Result<[Measured; 3]> {
    let mut all: [Measured; 3] = Default::default();
    // The first round at this load opens the missing connections; it does not count.
    let first = Load { turns: 1, ..*load };
    for (subject, process) in subjects.each() {
        round(subject, process, &first, users).await?;
    }
    for _ in 0..load.rounds {
        for ((subject, process), measured) in subjects.each().into_iter().zip(&mut all) {
            let before = (process.cpu()?, stack.database_cpu()?);
            let times = round(subject, process, load, users).await?;
            measured.cpu += process.cpu()?.saturating_sub(before.0);
            measured.database_cpu += stack.database_cpu()?.saturating_sub(before.1);
            measured.peak_memory = process.peak_memory()?;
            for turn in times {
                measured.first.push(turn.first);
                measured.late.extend(turn.late);
            }
        }
    }
    Ok(all)
}

/// One subject's round. The streams begin evenly over the length of a turn, as users do.
async fn round(
    subject: Subject,
    process: &Process,
    load: &Load,
    users: &Users,
) -> Result<Vec<TurnTimes>> {
    let streams = u32::try_from(load.streams)?;
    let apart = load.script.length() / streams;
    let reading = (0..streams).map(|number| async move {
        sleep(apart * number).await;
        let mut reader = Reader::connect(process.address).await?;
        let mut times = Vec::with_capacity(load.turns);
        for _ in 0..load.turns {
            let request = match subject {
                Subject::Upstream => direct_request(&load.script),
                Subject::Bare | Subject::Local => chat_request(&users.next(), &load.script),
            };
            times.push(reader.turn(&request, &load.script).await?);
        }
        Result::<_>::Ok(times)
    });
    let times = futures_util::future::try_join_all(reading).await?;
    Ok(times.into_iter().flatten().collect())
}
