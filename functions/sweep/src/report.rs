//! The report of a run: for the log, the alarms and the caller.

use std::fmt;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use shared_lambda::{Metric, measure};

/// A count that a kind of work reports: under one name in the response and in the log, and as a metric if an alarm
/// watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    name: &'static str,
    metric: Option<&'static str>,
    /// What it is before it was counted: nothing was done, or the number is unknown.
    initial: Option<u64>,
}

impl Counter {
    /// Counts work that was done, from 0.
    pub(crate) const fn of_work(name: &'static str) -> Self {
        Self { name, metric: None, initial: Some(0) }
    }

    /// A number that the run looks up; unknown if it could not.
    pub(crate) const fn of_state(name: &'static str) -> Self {
        Self { name, metric: None, initial: None }
    }

    /// The counter with a metric of this name.
    pub(crate) const fn with_metric(self, metric: &'static str) -> Self {
        Self { metric: Some(metric), ..self }
    }
}

/// Work that a run did, and work that it left. As JSON, an object of the counters' names, `outOfTime` and `durationMs`;
/// an unknown number is null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    counts: Vec<(Counter, Option<u64>)>,
    /// Whether the deadline passed before the work was done.
    pub out_of_time: bool,
    /// Duration, in milliseconds.
    pub duration_ms: i64,
}

impl SweepReport {
    /// A report of nothing, for these counters.
    pub(crate) fn new<const N: usize>(counters: [&[Counter]; N]) -> Self {
        let counts = counters.concat().into_iter().map(|counter| (counter, counter.initial));
        Self { counts: counts.collect(), ..Self::default() }
    }

    /// Counts `more`.
    pub(crate) fn add(&mut self, counter: Counter, more: u64) {
        self.set(counter, self.count(counter.name).unwrap_or(0) + more);
    }

    /// Notes a number that was looked up.
    pub(crate) fn set(&mut self, counter: Counter, number: u64) {
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| *known == counter) {
            *count = Some(number);
        }
    }

    /// The count with this name, such as `turnsStored`; `None` if it is unknown.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.counts.iter().find(|(counter, _)| counter.name == name)?.1
    }

    /// Whether any work was done or is left.
    pub fn did_something(&self) -> bool {
        self.out_of_time
            || self.counts.iter().any(|(_, count)| count.is_some_and(|count| count > 0))
    }

    /// Writes it to the log.
    pub fn log(&self) {
        let Self { out_of_time, duration_ms, .. } = self;
        tracing::info!(counts = %self, out_of_time, duration_ms, "swept");
    }

    /// Writes the metrics that have alarms, zeros too: they end an alarm. An unknown count is left out, because it is
    /// no zero.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2⁵³ turns")]
    pub(crate) fn measure(&self, now: Timestamp) {
        let metric = |(counter, count): &(Counter, Option<u64>)| {
            Some(Metric::count(counter.metric?, (*count)? as f64))
        };
        let metrics: Vec<_> = self.counts.iter().filter_map(metric).collect();
        measure(now, &metrics, &[]);
    }
}

/// `turnsStored=0 inboxWaiting=0 …`, without what is unknown.
impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known =
            self.counts.iter().filter_map(|(counter, count)| Some((counter.name, (*count)?)));
        for (place, (name, count)) in known.enumerate() {
            write!(f, "{}{name}={count}", if place == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl Serialize for SweepReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.counts.len() + 2))?;
        for (counter, count) in &self.counts {
            map.serialize_entry(counter.name, count)?;
        }
        map.serialize_entry("outOfTime", &self.out_of_time)?;
        map.serialize_entry("durationMs", &self.duration_ms)?;
        map.end()
    }
}
