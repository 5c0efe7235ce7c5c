//! What the product adds to a model's answer, compared with the least that a turn can be.
//!
//! Also measured: the delay for clients that follow a turn through another process, how soon a turn stops,
//! the round trips of a turn, the growth of its beginning with the history, the first turns of a fresh
//! environment, the delay of the first chunk through Lambda's runtime interface, the latency of the payment
//! provider's webhook, compared with the least that it can be, and the same of users' files: how long a photo's
//! inspection takes, what an image adds to a turn, and the latency of a declared upload.
//!
//! `make bench` runs it; `--quick` takes some two minutes, `--strict` fails if a target is missed, and
//! `--peer=bun` (`make bench PEERS=bun`) adds a peer to compare with. All servers are started here, on this
//! machine.
//!
//! `make bench-cold` measures what precedes the first turn, see [`cold`].

#![expect(clippy::print_stdout, reason = "a program at a terminal talks to its user")]

mod attached;
mod bare;
mod bare_webhook;
mod client;
mod clock;
mod cold;
mod deployed;
mod following;
mod fresh;
mod growth;
mod inspection;
mod load;
mod peer;
mod photo;
mod plan;
mod proxy;
mod report;
mod round_trips;
mod runtime;
mod script;
mod stack;
mod statistics;
mod stopping;
mod subject;
mod uploads;
mod upstream;
mod usage;
mod users;
mod webhook;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use local_s3::LocalS3;
use shared_core::env::Env;

use crate::load::Subjects;
use crate::plan::{ColdPlan, Plan};
use crate::report::Report;
use crate::stack::{CREDITS_FOR_EVERY_USER, Stack};
use crate::subject::{Process, S3_DIRECTORY, Subject, Variables};
use crate::users::Users;

/// Any error ends the run; no caller distinguishes them.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The result of all that can fail here.
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
                    [command, name] if command == "subject" => {
                        subject::run(name).await.map(|()| true)
                    }
                    [command, options @ ..] if command == "cold" => {
                        cold::run(&ColdPlan::from_options(options)?).await
                    }
                    options => bench(options).await,
                }
            })
        });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("\nthe bench broke off: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(options: &[String]) -> Result<bool> {
    let plan = Plan::from_options(options)?;
    println!("building what is deployed");
    let binary = runtime::build().await?;
    println!("starting postgres and valkey ({})", stack::DURABILITY);
    let stack = Stack::start().await?;
    let mut report = Report::default();
    let result = measure(&plan, &stack, &binary, &mut report).await;
    stack.stop().await?;
    let (text, all_met) = report.finish();
    println!("\n{text}");
    result?;
    Ok(all_met || !plan.strict)
}

async fn measure(plan: &Plan, stack: &Stack, binary: &Path, report: &mut Report) -> Result<()> {
    let upstream = Process::start(Subject::Upstream, &Vec::new()).await?;
    let dynamodb = Process::start(Subject::DynamoDb, &Vec::new()).await?;
    let directory = stack.s3_directory().to_string_lossy().into_owned();
    let s3 = Process::start(Subject::S3, &vec![(S3_DIRECTORY, directory)]).await?;
    let variables = variables(stack, upstream.address, dynamodb.address, s3.address);
    let env = Env::new(|name| {
        let mut all = variables.iter();
        all.find(|(variable, _)| *variable == name).map(|(_, value)| value.clone())
    });
    let users = Users::sign_in(plan.users, &env).await?;
    stack.run_as_owner(CREDITS_FOR_EVERY_USER).await?;
    let mut subjects = Subjects {
        bare: Process::start(Subject::Bare, &variables).await?,
        local: Process::start(Subject::Local, &variables).await?,
        upstream,
        bun: None,
    };
    if plan.bun {
        peer::prepare(stack).await?;
        let bun = Process::start(Subject::Bun, &variables).await?;
        peer::verify(bun.address, &users, stack).await?;
        subjects.bun = Some(bun);
    }

    println!("warming up");
    load::warm_up(&subjects, &users).await?;
    stack.analyze().await?;
    report.loads_begin();
    for load in &plan.loads {
        println!("{} streams at once", load.streams);
        let loaded = load::run(load, &subjects, &users, stack).await?;
        report.load(load, &loaded);
    }
    report.line("");
    println!("following and stopping");
    let elsewhere = Process::start(Subject::Local, &variables).await?;
    let (here, there) = (subjects.local.address, elsewhere.address);
    report.followed(&following::measure(here, there, &users, plan.followed_turns).await?);
    let (model, rounds) = (subjects.upstream.address, plan.stop_rounds);
    report.stopped(&stopping::measure(here, there, model, &users, rounds).await?);
    drop(elsewhere);
    println!("round trips");
    let turns = plan.delayed_turns;
    report.round_trips(&round_trips::measure(stack, &variables, &users, turns).await?);
    println!("growing");
    report.growth(&growth::measure(stack, &variables, plan.growth_rounds).await?);
    println!("fresh environments");
    report.first_turns(&fresh::measure(binary, &variables, &users, plan.environments).await?);
    println!("the runtime interface");
    let turns = plan.silent_turns;
    report.first_chunks(&runtime::measure(binary, &variables, &users, turns).await?);
    println!("the webhook");
    let rounds = plan.webhook_rounds;
    report.deliveries(&webhook::measure(stack, &variables, &subjects.local, rounds).await?);
    println!("users' files");
    let (local, rounds) = (&subjects.local, plan.upload_rounds);
    report.declared(&uploads::measure(stack, local, &users, rounds).await?);
    report.inspected(&inspection::measure(plan.inspections).await?);
    let rounds = plan.image_rounds;
    report.attached(&attached::measure(stack, &env, local, &users, rounds).await?);
    Ok(())
}

/// The variables of the subjects; the product gets the same ones as on Lambda.
fn variables(
    stack: &Stack,
    upstream: SocketAddr,
    dynamodb: SocketAddr,
    s3: SocketAddr,
) -> Variables {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut variables = vec![
        ("APP_ORIGIN", "http://localhost".to_owned()),
        ("SESSION_KEYS", format!("bench:{secret}")),
        ("LOGIN_PEPPER", secret.to_owned()),
        ("DATABASE_URL", stack.database_url().to_owned()),
        ("MONEY_DATABASE_URL", stack.money_url()),
        // As in `make dev`: one process serves what on Lambda is spread over many environments.
        ("DATABASE_POOL_SIZE", "16".to_owned()),
        ("CACHE_URL", stack.cache_url().to_owned()),
        ("OPENROUTER_BASE_URL", format!("http://{upstream}/api/v1")),
        ("OPENROUTER_API_KEY", "sk-or-v1-bench".to_owned()),
        // Without an id nothing is sold here: the orders are there already.
        ("CASHFREE_CLIENT_SECRET", webhook::SECRET.to_owned()),
        // Used by the webhook only: Postgres takes every turn.
        ("INBOX_TABLE", local_dynamodb::TABLE.to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{dynamodb}")),
        (
            "VAULT_KEYS",
            format!("file:{}", concat!(env!("CARGO_MANIFEST_DIR"), "/../local/testkit/vault-keys")),
        ),
    ];
    // With the region and the credentials, which the DynamoDB accepts as well.
    variables.extend(LocalS3::variables_at(s3));
    variables
}
