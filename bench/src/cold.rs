//! Cold starts: from `exec` to the first `GET /next`, compared with a hello-world function.
//!
//! `make bench-cold` runs it. All functions are started in one run, round by round, so that other load of
//! the machine affects them alike.
//!
//! It omits what only AWS has: fetching the binary, and the round trip for secrets, which are plain values
//! here. Files are in the page cache.

mod environment;
mod start;

use std::fs::{self, File};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use local_stack::Settings;
use shared_lambda::process_env;

use crate::deployed::{self, Binary};
use crate::plan::ColdPlan;
use crate::report::Report;
use crate::statistics::{float, percentile};
use crate::{Result, clock};

use environment::Environment;
use start::Start;

/// The baseline, built with the same profile.
const HELLO: &str = "hello";

/// The target ratio to the hello-world, for the functions that users wait for most, and the payment provider.
const TARGETS: [(&str, f64); 6] = [
    ("otp", 1.5),
    ("orders", 1.5),
    ("webhook", 1.5),
    ("presign", 1.5),
    ("inspect", 1.5),
    ("chat-stream", 2.0),
];

/// A function and its measured starts.
struct Function {
    binary: Binary,
    /// In KiB.
    size: u64,
    starts: Vec<Start>,
}

/// Measures and prints the report; returns whether all targets are met (or `--strict` is not set).
pub(crate) async fn run(plan: &ColdPlan) -> Result<bool> {
    println!("building what is deployed, and hello");
    let mut binaries = deployed::build(&["--package", HELLO]).await?;
    binaries.extend(deployed::build(&[]).await?);
    let _alone = lock()?;
    let mut functions = Vec::new();
    for binary in binaries {
        let size = fs::metadata(&binary.path)?.len() / 1024;
        functions.push(Function { binary, size, starts: Vec::new() });
    }
    println!("starting {} functions {} times each", functions.len(), plan.rounds);
    let environment = Environment::new().await?;
    for round in 0..plan.warm_up + plan.rounds {
        // Shuffles the order in each round, deterministically: otherwise one function would always follow
        // the same other one.
        let chance = BuildHasherDefault::<DefaultHasher>::default();
        functions.sort_by_cached_key(|function| chance.hash_one((round, &function.binary.name)));
        for function in &mut functions {
            let start = start::measure(&function.binary, &environment).await?;
            if round >= plan.warm_up {
                function.starts.push(start);
            }
        }
    }
    let mut report = Report::default();
    report_starts(&mut report, functions)?;
    let (text, all_met) = report.finish();
    println!("\n{text}");
    Ok(all_met || !plan.strict)
}

/// One bench at a time: takes the same lock as the servers of `make bench`.
fn lock() -> Result<File> {
    let directory = Settings::from_env(&process_env())?.local_dir.join("bench");
    fs::create_dir_all(&directory)?;
    let lock = File::create(directory.join("dev.lock"))?;
    lock.try_lock().map_err(|error| format!("another bench is running: {error}"))?;
    Ok(lock)
}

fn report_starts(report: &mut Report, mut functions: Vec<Function>) -> Result<()> {
    functions.sort_by_key(|function| (function.binary.name != HELLO, function.size));
    let found: Vec<Found<'_>> = functions.iter().map(Found::of).collect();
    let hello = found.first().filter(|found| found.name == HELLO).ok_or("hello was not built")?;
    report.line("function        exec to first /next, ms    cpu        memory MiB   binary");
    report.line("                 p50     p90   ratio        ms   ratio   now   peak    MiB");
    for Found { name, next, next_p90, cpu, resident, peak, size } in &found {
        report.line(&format!(
            "{name:13} {next:7.3} {next_p90:7.3} {:7.2}   {cpu:7.3} {:7.2} {resident:5.1}  {peak:5.1}  {size:5.2}",
            next / hello.next,
            cpu / hello.cpu,
        ));
    }
    for (name, target) in TARGETS {
        let ratio = found.iter().find(|found| found.name == name).map(|it| it.next / hello.next);
        let what = format!("exec to first /next: {name} / {HELLO}");
        // NaN (a missed target) if the function was not measured.
        report.check(&what, ratio.unwrap_or(f64::NAN), target);
    }
    Ok(())
}

/// Medians (except `next_p90`), in milliseconds and MiB.
struct Found<'a> {
    name: &'a str,
    next: f64,
    next_p90: f64,
    cpu: f64,
    resident: f64,
    peak: f64,
    size: f64,
}

impl<'a> Found<'a> {
    fn of(Function { binary, size, starts }: &'a Function) -> Self {
        let of = |percent, value: fn(&Start) -> u64| {
            percentile(&starts.iter().map(value).collect::<Vec<_>>(), percent)
        };
        Self {
            name: &binary.name,
            next: of(50, |start| clock::nanos(start.next)) / 1e6,
            next_p90: of(90, |start| clock::nanos(start.next)) / 1e6,
            cpu: of(50, |start| clock::nanos(start.cpu)) / 1e6,
            resident: of(50, |start| start.resident) / 1024.0,
            peak: of(50, |start| start.peak) / 1024.0,
            size: float(*size) / 1024.0,
        }
    }
}
