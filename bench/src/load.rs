//! Many streams at once, one subject after the other in short rounds: what else the machine does
//! hits all of them alike.

use std::time::Duration;

use tokio::time::sleep;

use crate::Result;
use crate::client::{Heard, Reader, chat_request, direct_request};
use crate::script::Script;
use crate::stack::Stack;
use crate::statistics::float;
use crate::subject::{Process, Subject};
use crate::users::Users;

/// How many streams, how often.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Streams at once.
    pub(crate) streams: usize,
    /// What each turn is.
    pub(crate) script: Script,
    /// How often each subject has its round.
    pub(crate) rounds: usize,
    /// Turns of each stream in a round.
    pub(crate) turns: usize,
}

/// What a load was like for one subject.
#[derive(Default)]
pub(crate) struct Measured {
    /// [`Heard::first`] of each turn.
    pub(crate) first: Vec<u64>,
    /// [`Heard::late`] of each chunk.
    pub(crate) late: Vec<u64>,
    /// The processor time of the subject.
    pub(crate) cpu: Duration,
    /// The processor time of Postgres meanwhile.
    pub(crate) database_cpu: Duration,
    /// The most memory that the subject has had so far, in KiB.
    pub(crate) peak_memory: u64,
}

impl Measured {
    /// Adds what readers heard.
    pub(crate) fn add(&mut self, heard: Vec<Heard>) {
        for turn in heard {
            self.first.push(turn.first);
            self.late.extend(turn.late);
        }
    }

    /// Milliseconds of processor time for each turn: seconds for a thousand.
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

/// Lets every user have two turns with both, so that connections are open, statements are prepared,
/// and chats have something to read back.
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
    // The first round at this load opens what was not needed before; it does not count.
    let first = Load { turns: 1, ..*load };
    for (subject, process) in subjects.each() {
        round(subject, process, &first, users).await?;
    }
    for _ in 0..load.rounds {
        for ((subject, process), measured) in subjects.each().into_iter().zip(&mut all) {
            let before = (process.cpu()?, stack.database_cpu()?);
            let heard = round(subject, process, load, users).await?;
            measured.cpu += process.cpu()?.saturating_sub(before.0);
            measured.database_cpu += stack.database_cpu()?.saturating_sub(before.1);
            measured.peak_memory = process.peak_memory()?;
            measured.add(heard);
        }
    }
    Ok(all)
}

/// One subject's round. The streams begin evenly over the length of a turn, as people do.
pub(crate) async fn round(
    subject: Subject,
    process: &Process,
    load: &Load,
    users: &Users,
) -> Result<Vec<Heard>> {
    let streams = u32::try_from(load.streams)?;
    let apart = load.script.length() / streams;
    let reading = (0..streams).map(|number| async move {
        sleep(apart * number).await;
        let mut reader = Reader::connect(process.address).await?;
        let mut heard = Vec::with_capacity(load.turns);
        for _ in 0..load.turns {
            let request = match subject {
                Subject::Upstream => direct_request(&load.script),
                Subject::Bare | Subject::Recorded | Subject::Local => {
                    chat_request(&users.next(), &load.script)
                }
            };
            heard.push(reader.turn(&request, &load.script).await?);
        }
        Result::<_>::Ok(heard)
    });
    let heard = futures_util::future::try_join_all(reading).await?;
    Ok(heard.into_iter().flatten().collect())
}
