//! What the product adds to a model's answer, held against the least that a turn can be.
//!
//! `make bench` runs it; `--quick` takes less than a minute, `--strict` fails where a target is
//! missed. Everything is on this machine and started here.

#![expect(clippy::print_stdout, reason = "a program at a terminal talks to its user")]

mod bare;
mod client;
mod clock;
mod load;
mod script;
mod stack;
mod statistics;
mod subject;
mod upstream;
mod usage;
mod users;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use shared_core::env::Env;

use crate::load::{Load, Subjects};
use crate::script::Script;
use crate::stack::Stack;
use crate::statistics::percentile;
use crate::subject::{Process, Subject, Variables};
use crate::users::Users;

/// What goes wrong here ends the run; nobody tells one from the other.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The result of whatever can fail here.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| {
            runtime.block_on(async {
                match arguments.as_slice() {
                    [command, name] if command == "subject" => subject::run(name).await,
                    options => bench(options).await,
                }
            })
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nthe bench broke off: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(options: &[String]) -> Result<()> {
    let stack = Stack::start().await?;
    let result = measure(options, &stack).await;
    stack.stop().await?;
    result
}

async fn measure(_options: &[String], stack: &Stack) -> Result<()> {
    let upstream = Process::start(Subject::Upstream, &Vec::new()).await?;
    let variables: Variables = vec![
        ("APP_ORIGIN", "http://localhost".to_owned()),
        ("SESSION_KEYS", "bench:0123456789abcdef0123456789abcdef".to_owned()),
        ("LOGIN_PEPPER", "0123456789abcdef0123456789abcdef".to_owned()),
        ("DATABASE_URL", stack.database_url().to_owned()),
        ("DATABASE_POOL_SIZE", "16".to_owned()),
        ("CACHE_URL", stack.cache_url().to_owned()),
        ("OPENROUTER_BASE_URL", format!("http://{}/api/v1", upstream.address)),
        ("OPENROUTER_API_KEY", "sk-or-v1-bench".to_owned()),
    ];
    let env = Env::new(|name| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone())
    });
    let users = Users::sign_in(600, &env).await?;
    let subjects = Subjects {
        bare: Process::start(Subject::Bare, &variables).await?,
        local: Process::start(Subject::Local, &variables).await?,
        upstream,
    };
    load::warm_up(&subjects, &users).await?;
    let loads = [
        Load {
            streams: 1,
            script: Script::steady(50, Duration::from_millis(5)),
            rounds: 20,
            turns: 2,
        },
        Load {
            streams: 50,
            script: Script::steady(50, Duration::from_millis(20)),
            rounds: 2,
            turns: 3,
        },
    ];
    for load in loads {
        let all = load::run(&load, &subjects, &users, stack).await?;
        for (name, m) in ["direct", "bare", "local"].iter().zip(&all) {
            println!(
                "{:4} {name:8} first p50 {:7.0} p99 {:7.0} us   chunk p50 {:6.0} p99 {:6.0} us  cpu/1000 {:.3} s pg {:.3} s  peak {} KiB",
                load.streams,
                percentile(&m.first, 50) / 1e3,
                percentile(&m.first, 99) / 1e3,
                percentile(&m.late, 50) / 1e3,
                percentile(&m.late, 99) / 1e3,
                m.cpu.as_secs_f64() * 1e3 / m.first.len() as f64,
                m.database_cpu.as_secs_f64() * 1e3 / m.first.len() as f64,
                m.peak_memory
            );
        }
    }
    Ok(())
}
