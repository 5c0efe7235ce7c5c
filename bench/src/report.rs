//! The report: what was measured, and which targets are met.

use std::fmt::{self, Display, Formatter, Write};

use crate::attached::Attached;
use crate::following::Followed;
use crate::fresh::Fresh;
use crate::growth::Growth;
use crate::inspection::Inspected;
use crate::load::{Load, Loaded, Measured};
use crate::round_trips::RoundTrips;
use crate::runtime::FirstChunk;
use crate::statistics::{float, percentile};
use crate::stopping::Stopped;
use crate::uploads::Declared;
use crate::webhook::Delivered;

/// The number of streams at which processor time is judged.
const COSTED: usize = 50;

/// A value and its target.
struct Check {
    what: String,
    value: f64,
    target: Target,
}

/// The bound of a value.
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Check {
    fn is_met(&self) -> bool {
        // NaN or infinity, the value of an empty measurement, misses the target too.
        self.value.is_finite()
            && match self.target {
                Target::AtMost(bound) => self.value <= bound,
                Target::AtLeast(bound) => self.value >= bound,
            }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
        }
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
        for line in [
            "streams  subject    first word ms    late chunk ms     cpu ms per turn              peak  turns      busy, % of a core",
            "                     p50     p99      p50     p99   process postgres valkey     MiB    a s   client upstream all others",
        ] {
            self.line(line);
        }
    }

    /// Reports a load: `direct` in absolute values, the others as what they add to it.
    pub(crate) fn load(&mut self, load: &Load, loaded: &Loaded) {
        let streams = load.streams;
        let limit = Added::of(streams, &loaded.direct, None);
        let [bare, local] = [&loaded.bare, &loaded.local]
            .map(|measured| Added::of(streams, measured, Some(&limit)));
        let bun = loaded.bun.as_ref().map(|bun| Added::of(streams, bun, Some(&limit)));
        let subjects = [
            ("direct", Some(&limit)),
            ("+ bare", Some(&bare)),
            ("+ local", Some(&local)),
            ("+ bun", bun.as_ref()),
        ];
        for (subject, added) in subjects {
            if let Some(added) = added {
                self.added(streams, subject, added);
            }
        }
        let (turns, gap) = (loaded.direct.first.len(), load.script.gap.as_millis());
        let chunks = load.script.chunks;
        let wanted = load.turns_wanted();
        self.line(&format!(
            "         ({turns} turns each, {chunks} chunks every {gap} ms: {wanted:.0} turns a second wanted)"
        ));
        if !load.is_excessive {
            self.judge_against_bare(streams, &local, &bare);
        }
        if let Some(bun) = &bun {
            self.judge_against_bun(load, &local, bun);
        }
        if streams == COSTED {
            self.check("cpu of postgres per turn, ms, 50 streams", local.database_cpu, 1.8);
            self.check("cpu of valkey per turn, ms, 50 streams", local.cache_cpu, 0.8);
        }
    }

    fn judge_against_bare(&mut self, streams: usize, local: &Added, bare: &Added) {
        let mut ratio = |what: &str, of: fn(&Added) -> f64, target| {
            let what = format!("{what}, {streams} streams: local / bare");
            self.check(&what, of(local) / of(bare), target);
        };
        ratio("first word p50", |added| added.first.0, 1.3);
        ratio("late chunk p50", |added| added.late.0, 1.3);
        ratio("peak memory", |added| added.peak, 1.5);
        if streams == COSTED {
            ratio("cpu per turn", |added| added.cpu, 1.4);
        }
    }

    fn judge_against_bun(&mut self, load: &Load, local: &Added, bun: &Added) {
        let wanted = load.turns_wanted();
        let mut ratio = |what: &str, of: fn(&Added) -> f64, target| {
            let what = if load.is_excessive {
                format!("{what}, {wanted:.0} turns a second wanted: local / bun")
            } else {
                format!("{what}, {} streams: local / bun", load.streams)
            };
            let value = of(local) / of(bun);
            self.checks.push(Check { what, value, target });
        };
        if load.is_excessive {
            ratio("first word p50", |added| added.first.0, Target::AtMost(0.1));
            ratio("first word p99", |added| added.first.1, Target::AtMost(0.3));
            ratio("turns a second", |added| added.turns_per_second, Target::AtLeast(1.0));
            ratio("peak memory", |added| added.peak, Target::AtMost(0.5));
        } else if load.streams <= COSTED {
            ratio("first word p50", |added| added.first.0, Target::AtMost(0.7));
        }
        if load.streams == COSTED {
            ratio("cpu per turn", |added| added.cpu, Target::AtMost(0.7));
        }
    }

    fn added(&mut self, streams: usize, subject: &str, added: &Added) {
        let Added { first, late, cpu, database_cpu, cache_cpu, peak, turns_per_second, busy } =
            added;
        let [client, upstream, all, others] = busy;
        self.line(&format!(
            "{streams:>7}  {subject:8} {:7.3} {:7.3}  {:7.3} {:7.3}   {cpu:7.3} {database_cpu:8.3} {cache_cpu:6.3} {peak:7.1} {turns_per_second:6.1}   {client:6.0} {upstream:8.0} {all:3.0} {others:6.0}",
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
        for (what, points) in [
            ("first word", &found.first),
            ("last frame", &found.done),
            ("end of the response", &found.whole),
        ] {
            let points: Vec<String> = points
                .iter()
                .map(|(delay, time)| format!("{time:.2} ms at {delay:.2} ms"))
                .collect();
            self.line(&format!("{what} by round trip: {}", points.join(", ")));
        }
        let in_a_row = "round trips in a row";
        self.check(&format!("{in_a_row} before the first word"), found.before_first_word(), 1.05);
        self.check(&format!("{in_a_row} before the last frame"), found.before_last_frame(), 2.05);
    }

    /// Reports how a history slows down the beginning of a turn.
    pub(crate) fn growth(&mut self, found: &[Growth]) {
        for Growth { what, analysed, first: (short, long) } in found {
            let tables = if *analysed { "analysed" } else { "never analysed" };
            self.line(&format!("{what}, {tables}: first word after {short:.3} → {long:.3} ms"));
            self.check(&format!("growth of the first word: {what}, {tables}"), long / short, 1.1);
        }
    }

    /// Reports the first turns of fresh environments.
    pub(crate) fn first_turns(&mut self, found: &Fresh) {
        for (when, [first, second, third]) in
            [("initialized", found.rested), ("that opens its connections", found.at_once)]
        {
            self.line(&format!(
                "first word in a fresh environment {when}: {first:.3} ms, then {second:.3}, then {third:.3}",
            ));
        }
        let [first, _, third] = found.rested;
        self.check("first word of a fresh environment: first / third turn", first / third, 2.0);
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

    /// Reports how long the webhook takes.
    pub(crate) fn deliveries(&mut self, found: &[Delivered]) {
        for Delivered { at_once, bare, local } in found {
            for (subject, measured) in [("bare", bare), ("local", local)] {
                let ((first, first_tail), (again, again_tail)) =
                    (both(&measured.first), both(&measured.again));
                let [cpu, database_cpu] = [measured.cpu, measured.database_cpu]
                    .map(|cpu| 1e3 * cpu.as_secs_f64() / float(measured.first.len() as u64));
                self.line(&format!(
                    "webhook, {at_once:>2} at once, {subject:5}: {first:.3} ms, p99 {first_tail:.3}; one repeated {again:.3}, p99 {again_tail:.3}; cpu {cpu:.3}, postgres {database_cpu:.3} ({} deliveries)",
                    measured.first.len(),
                ));
            }
            let ((bare, _), (local, tail)) = (both(&bare.first), both(&local.first));
            self.check(&format!("webhook p50, {at_once} at once: local / bare"), local / bare, 1.5);
            self.check(&format!("webhook p99, ms, {at_once} at once"), tail, 50.0);
        }
    }

    /// Reports how long a declared upload takes.
    pub(crate) fn declared(&mut self, found: &[Declared]) {
        for Declared { at_once, times, cpu, database_cpu } in found {
            let (median, tail) = (percentile(times, 50) / 1e6, percentile(times, 95) / 1e6);
            let [cpu, database_cpu] =
                [cpu, database_cpu].map(|cpu| 1e3 * cpu.as_secs_f64() / float(times.len() as u64));
            self.line(&format!(
                "declaring an upload, {at_once:>2} at once: {median:.3} ms, p95 {tail:.3}; cpu {cpu:.3}, postgres {database_cpu:.3} ({} uploads)",
                times.len(),
            ));
            self.check(&format!("declaring an upload p95, ms, {at_once} at once"), tail, 20.0);
        }
    }

    /// Reports how long an inspection takes, and its memory.
    pub(crate) fn inspected(&mut self, found: &Inspected) {
        let [inspect, decode, encode] =
            [&found.inspect, &found.decode, &found.encode].map(|times| percentile(times, 50) / 1e6);
        let megabytes = float(found.bytes as u64) / 1e6;
        let peak = float(found.peak_memory) / 1024.0;
        self.line(&format!(
            "inspecting a photo of 12 megapixels, {megabytes:.1} MB: {inspect:.0} ms; bare decode {decode:.0} ms, encodes {encode:.0} ms; peak {peak:.0} MiB ({} times)",
            found.inspect.len(),
        ));
        self.check("inspecting a photo p50: inspect / bare", inspect / (decode + encode), 1.2);
        self.check("peak memory of inspecting it, MiB", peak, 300.0);
    }

    /// Reports what an image adds to a turn.
    pub(crate) fn attached(&mut self, found: &Attached) {
        let [(without, _), (with, _), (read, _)] =
            [&found.without, &found.with, &found.read].map(|times| both(times));
        self.line(&format!(
            "first word with an image of 1 MiB: {with:.3} ms, without {without:.3}; one read of it {read:.3} ({} turns)",
            found.with.len(),
        ));
        self.check(
            "what an image adds to the first word / one read of it",
            (with - without) / read,
            1.2,
        );
    }

    /// Returns the report, the targets last, and whether all are met.
    pub(crate) fn finish(mut self) -> (String, bool) {
        self.line("");
        let checks = std::mem::take(&mut self.checks);
        for check in &checks {
            let verdict = if check.is_met() { "met" } else { "MISSED" };
            self.line(&format!(
                "{:6}  {:80} {:7.3}  ({})",
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
        let (what, target) = (what.to_owned(), Target::AtMost(target));
        self.checks.push(Check { what, value, target });
    }
}

/// Median and 99th percentile of nanoseconds, in milliseconds; NaN without values.
fn both(values: &[u64]) -> (f64, f64) {
    let of = |percent| if values.is_empty() { f64::NAN } else { percentile(values, percent) / 1e6 };
    (of(50), of(99))
}

/// What a subject adds: median and 99th percentile in milliseconds, milliseconds for each turn, MiB. `busy` is
/// the part of the period in which one processor was busy with the client, the upstream, everything, and what is
/// not of the bench, in percent.
struct Added {
    first: (f64, f64),
    late: (f64, f64),
    cpu: f64,
    database_cpu: f64,
    cache_cpu: f64,
    peak: f64,
    turns_per_second: f64,
    busy: [f64; 4],
}

impl Added {
    fn of(streams: usize, measured: &Measured, limit: Option<&Self>) -> Self {
        // Subtracts the limit's median from both: its 99th percentile comes from other turns.
        let more = |values: &[u64], less: Option<(f64, f64)>| {
            let ((median, tail), (less, _)) = (both(values), less.unwrap_or_default());
            (median - less, tail - less)
        };
        let busy = [
            measured.generator_cpu,
            measured.upstream_cpu,
            measured.machine_cpu,
            measured.cpu_of_others(limit.is_none()),
        ];
        Self {
            first: more(&measured.first, limit.map(|limit| limit.first)),
            late: more(&measured.late, limit.map(|limit| limit.late)),
            cpu: measured.per_turn(measured.cpu),
            database_cpu: measured.per_turn(measured.database_cpu),
            cache_cpu: measured.per_turn(measured.cache_cpu),
            peak: float(measured.peak_memory) / 1024.0,
            turns_per_second: measured.turns_per_second(streams),
            busy: busy.map(|cpu| 1e2 * measured.share(cpu)),
        }
    }
}
