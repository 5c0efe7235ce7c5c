//! The report: what was measured, and which targets are met.

use std::fmt::Write;

use crate::following::Followed;
use crate::load::{Load, Measured};
use crate::round_trips::RoundTrips;
use crate::runtime::FirstChunk;
use crate::statistics::{float, percentile};
use crate::stopping::Stopped;

/// A value and its maximum.
struct Check {
    what: String,
    value: f64,
    target: f64,
}

impl Check {
    fn is_met(&self) -> bool {
        // Not `<=` alone: NaN or infinity, the value of an empty measurement, misses the target too.
        self.value.is_finite() && self.value <= self.target
    }
}

/// Collects the results of a run.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
    checks: Vec<Check>,
}

impl Report {
    /// Begins the table of loads.
    pub(crate) fn loads_begin(&mut self) {
        self.line(
            "streams  subject   first word ms     late chunk ms     cpu s per    postgres   peak",
        );
        self.line(
            "                     p50     p99       p50     p99   1,000 turns    cpu s      MiB",
        );
    }

    /// Reports a load: `direct` in absolute values, the others as what they add to it.
    pub(crate) fn load(&mut self, load: &Load, [direct, bare, local]: &[Measured; 3]) {
        let streams = load.streams;
        let limit = Added::default();
        let limit = Added::of(direct, &limit);
        let (bare, local) = (Added::of(bare, &limit), Added::of(local, &limit));
        self.added(streams, "direct", &limit);
        self.added(streams, "+ bare", &bare);
        self.added(streams, "+ local", &local);
        let (turns, gap) = (direct.first.len(), load.script.gap.as_millis());
        let chunks = load.script.chunks;
        self.line(&format!("         ({turns} turns each, {chunks} chunks every {gap} ms)"));
        let mut ratio = |what: &str, local: f64, bare: f64, target| {
            let what = format!("{what}, {streams} streams: local / bare");
            let value = local / bare;
            self.checks.push(Check { what, value, target });
        };
        ratio("first word p50", local.first.0, bare.first.0, 1.3);
        ratio("late chunk p50", local.late.0, bare.late.0, 1.3);
        ratio("cpu per turn", local.cpu, bare.cpu, 1.3);
        ratio("peak memory", local.peak, bare.peak, 1.5);
    }

    fn added(&mut self, streams: usize, subject: &str, added: &Added) {
        let Added { first, late, cpu, database_cpu, peak } = added;
        self.line(&format!(
            "{streams:>7}  {subject:8} {:7.3} {:7.3}   {:7.3} {:7.3}   {cpu:11.3} {database_cpu:11.3} {peak:8.1}",
            first.0, first.1, late.0, late.1,
        ));
    }

    /// Reports the delay for following clients.
    pub(crate) fn followed(&mut self, found: &[Followed]) {
        for Followed { followers, late } in found {
            let (median, tail) = both(late);
            self.line(&format!(
                "{followers:>3} following: each chunk {median:.1} ms after the model said it, p99 {tail:.1} ({} chunks)",
                late.len(),
            ));
            self.check(
                &format!("late chunk p99, ms, {followers} following elsewhere"),
                tail,
                100.0,
            );
        }
    }

    /// Reports how soon turns stop.
    pub(crate) fn stopped(&mut self, found: &[Stopped]) {
        for Stopped { model, hung_up, answered } in found {
            let ((median, tail), (median_answer, tail_answer)) = (both(hung_up), both(answered));
            self.line(&format!(
                "stopping a model that {model}: it is hung up on after {median:.1} ms, p99 {tail:.1}; answered after {median_answer:.1}, p99 {tail_answer:.1} ({} stops)",
                hung_up.len(),
            ));
            self.check(
                &format!("from stop to hanging up, p99, ms, a model that {model}"),
                tail,
                300.0,
            );
        }
    }

    /// Reports round trips and their effect.
    pub(crate) fn round_trips(&mut self, found: &RoundTrips) {
        for (name, traffic) in [("postgres", found.database), ("valkey", found.cache)] {
            self.line(&format!(
                "{name:9} at most {} round trips a turn, {} bytes there, {} back",
                traffic.round_trips, traffic.sent, traffic.received,
            ));
        }
        let points: Vec<String> = found
            .first
            .iter()
            .map(|(delay, first)| format!("{first:.2} ms at {delay:.0} ms"))
            .collect();
        self.line(&format!("first word by round trip: {}", points.join(", ")));
        self.check("round trips in a row before the first word", found.in_a_row(), 1.05);
    }

    /// Reports the delay of first chunks through the runtime interface.
    pub(crate) fn first_chunks(&mut self, found: &[FirstChunk]) {
        for first in found {
            let FirstChunk { silence, late, worst } = first;
            let silence = silence.as_millis();
            self.line(&format!(
                "through the runtime interface, {silence} ms after the prelude: {late:.3} ms late, {worst:.3} at worst",
            ));
            let what = format!("first chunk late, ms, {silence} ms after the prelude");
            self.check(&what, *late, 1.0);
        }
    }

    /// Returns the report, the targets last, and whether all are met.
    pub(crate) fn finish(mut self) -> (String, bool) {
        self.line("");
        let checks = std::mem::take(&mut self.checks);
        for check in &checks {
            let verdict = if check.is_met() { "met" } else { "MISSED" };
            self.line(&format!(
                "{:6}  {:60} {:7.3}  (≤ {})",
                verdict, check.what, check.value, check.target,
            ));
        }
        (self.text, checks.iter().all(Check::is_met))
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &str) {
        // Writing to memory does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// Adds a value with its target, which is the maximum.
    pub(crate) fn check(&mut self, what: &str, value: f64, target: f64) {
        let what = what.to_owned();
        self.checks.push(Check { what, value, target });
    }
}

/// Median and 99th percentile of nanoseconds, in milliseconds; NaN without values.
fn both(values: &[u64]) -> (f64, f64) {
    let of = |percent| if values.is_empty() { f64::NAN } else { percentile(values, percent) / 1e6 };
    (of(50), of(99))
}

/// What a subject adds: median and 99th percentile in milliseconds, seconds, MiB.
#[derive(Default)]
struct Added {
    first: (f64, f64),
    late: (f64, f64),
    cpu: f64,
    database_cpu: f64,
    peak: f64,
}

impl Added {
    fn of(measured: &Measured, limit: &Self) -> Self {
        // Subtracts the limit's median from both: its 99th percentile comes from other turns.
        let more = |values: &[u64], less: (f64, f64)| {
            let (median, tail) = both(values);
            (median - less.0, tail - less.0)
        };
        let thousands = float(measured.first.len() as u64) / 1e3;
        Self {
            first: more(&measured.first, limit.first),
            late: more(&measured.late, limit.late),
            cpu: measured.cpu_per_turn(),
            database_cpu: measured.database_cpu.as_secs_f64() / thousands,
            peak: float(measured.peak_memory) / 1024.0,
        }
    }
}
