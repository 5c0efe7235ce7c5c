//! Many concurrent streams, one subject after the other in short rounds: other load of the machine affects
//! all of them alike.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::Result;
use crate::client::{Reader, TurnTimes, chat_request, direct_request};
use crate::script::Script;
use crate::stack::Stack;
use crate::statistics::float;
use crate::subject::{Process, Subject};
use crate::usage::{cpu_of, cpu_of_machine};
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
    /// Whether it wants more turns a second than this machine can serve: what is judged then is how much is
    /// served, and how long the others wait.
    pub(crate) is_excessive: bool,
}

impl Load {
    /// Turns a second if nothing but the upstream took time.
    pub(crate) fn turns_wanted(&self) -> f64 {
        float(self.streams as u64) / self.script.length().as_secs_f64()
    }
}

/// The measurements of a load for one subject.
#[derive(Default)]
pub(crate) struct Measured {
    /// [`TurnTimes::first`] of each turn.
    pub(crate) first: Vec<u64>,
    /// [`TurnTimes::late`] of each chunk.
    pub(crate) late: Vec<u64>,
    /// [`TurnTimes::whole`] of all turns.
    pub(crate) whole: Duration,
    /// The processor time of the subject.
    pub(crate) cpu: Duration,
    /// The processor time of Postgres in the same period.
    pub(crate) database_cpu: Duration,
    /// That of Valkey.
    pub(crate) cache_cpu: Duration,
    /// That of this process, which generates the load, on one thread.
    pub(crate) generator_cpu: Duration,
    /// That of the upstream, on one thread too.
    pub(crate) upstream_cpu: Duration,
    /// That of the whole machine, other programs included.
    pub(crate) machine_cpu: Duration,
    /// The length of the period.
    pub(crate) period: Duration,
    /// The subject's peak memory so far, in KiB.
    pub(crate) peak_memory: u64,
}

impl Measured {
    /// Milliseconds of `time` for each turn.
    pub(crate) fn per_turn(&self, time: Duration) -> f64 {
        1e3 * time.as_secs_f64() / float(self.first.len() as u64)
    }

    /// How many turns are completed in a second while `streams` run (Little's law), without the phases in
    /// which streams begin and end.
    pub(crate) fn turns_per_second(&self, streams: usize) -> f64 {
        1e3 * float(streams as u64) / self.per_turn(self.whole)
    }

    /// The part of the period in which a processor was busy with what took `cpu`.
    pub(crate) fn share(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() / self.period.as_secs_f64()
    }

    /// The processor time of programs that are not of this bench. `is_upstream`: the subject is the upstream.
    pub(crate) fn cpu_of_others(&self, is_upstream: bool) -> Duration {
        let subject = if is_upstream { Duration::ZERO } else { self.cpu };
        let own =
            [subject, self.database_cpu, self.cache_cpu, self.generator_cpu, self.upstream_cpu];
        self.machine_cpu.saturating_sub(own.iter().sum())
    }

    fn add(&mut self, before: &Usage, after: &Usage) {
        let since = |of: fn(&Usage) -> Duration| of(after).saturating_sub(of(before));
        self.cpu += since(|usage| usage.subject);
        self.database_cpu += since(|usage| usage.database);
        self.cache_cpu += since(|usage| usage.cache);
        self.generator_cpu += since(|usage| usage.generator);
        self.upstream_cpu += since(|usage| usage.upstream);
        self.machine_cpu += since(|usage| usage.machine);
        self.period += after.at - before.at;
    }
}

/// The processor times at one moment.
struct Usage {
    at: Instant,
    subject: Duration,
    database: Duration,
    cache: Duration,
    generator: Duration,
    upstream: Duration,
    machine: Duration,
}

impl Usage {
    fn now(process: &Process, subjects: &Subjects, stack: &Stack) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            subject: process.cpu()?,
            database: stack.database_cpu()?,
            cache: stack.cache_cpu()?,
            generator: cpu_of("self")?,
            upstream: subjects.upstream.cpu()?,
            machine: cpu_of_machine()?,
        })
    }
}

/// The measurements of a load.
pub(crate) struct Loaded {
    /// The upstream itself.
    pub(crate) direct: Measured,
    /// The bare turn.
    pub(crate) bare: Measured,
    /// The product.
    pub(crate) local: Measured,
    /// The peer, if it takes part.
    pub(crate) bun: Option<Measured>,
}

/// The subjects under load.
pub(crate) struct Subjects {
    /// The upstream.
    pub(crate) upstream: Process,
    /// The bare turn.
    pub(crate) bare: Process,
    /// The product.
    pub(crate) local: Process,
    /// The peer, if it takes part.
    pub(crate) bun: Option<Process>,
}

impl Subjects {
    fn each(&self) -> Vec<(Subject, &Process)> {
        let mut all = vec![
            (Subject::Upstream, &self.upstream),
            (Subject::Bare, &self.bare),
            (Subject::Local, &self.local),
        ];
        all.extend(self.bun.as_ref().map(|process| (Subject::Bun, process)));
        all
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
        is_excessive: false,
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
) -> Result<Loaded> {
    let mut all: Vec<Measured> = subjects.each().iter().map(|_| Measured::default()).collect();
    // The first round at this load opens the missing connections; it does not count.
    let first = Load { turns: 1, ..*load };
    for (subject, process) in subjects.each() {
        round(subject, process, &first, users).await?;
    }
    for _ in 0..load.rounds {
        for ((subject, process), measured) in subjects.each().into_iter().zip(&mut all) {
            let before = Usage::now(process, subjects, stack)?;
            let times = round(subject, process, load, users).await?;
            measured.add(&before, &Usage::now(process, subjects, stack)?);
            measured.peak_memory = process.peak_memory()?;
            for turn in times {
                measured.first.push(turn.first);
                measured.late.extend(turn.late);
                measured.whole += Duration::from_nanos(turn.whole);
            }
        }
    }
    let mut all = all.into_iter();
    let mut next = || all.next().unwrap_or_default();
    let (direct, bare, local) = (next(), next(), next());
    Ok(Loaded { direct, bare, local, bun: all.next() })
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
            let request = if subject == Subject::Upstream {
                direct_request(&load.script)
            } else {
                chat_request(&users.next(), &load.script)
            };
            times.push(reader.turn(&request, &load.script).await?);
        }
        Result::<_>::Ok(times)
    });
    let times = futures_util::future::try_join_all(reading).await?;
    Ok(times.into_iter().flatten().collect())
}
