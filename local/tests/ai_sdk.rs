//! Runs `tests/ai-sdk`, which drives the product with the AI SDK's own client, on a product of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop where something breaks")]

use std::collections::HashMap;
use std::future::pending;
use std::process::Output;
use std::sync::mpsc;
use std::time::Duration;

use local::{DevMailbox, Product, Wiring};
use shared_core::billing::Plans;
use shared_core::env::Env;
use shared_core::models::ModelTable;
use shared_lambda::{system_clock, system_entropy};
use testkit::{NpmProject, TestStack, output_text, repository_file};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// `MODEL_IDLE_TIMEOUT_SECONDS`: some models of the fake never answer, and the tests wait for this timeout.
const IDLE_TIMEOUT_SECONDS: &str = "2";

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdks_own_client_works_unchanged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let mut stack = TestStack::start().await;
    stack.set("APP_ORIGIN", &origin);
    stack.set("MODEL_IDLE_TIMEOUT_SECONDS", IDLE_TIMEOUT_SECONDS);
    stack.set("KEEP_ALIVE_SECONDS", "1");
    let ending = [End::ShutDown, End::Killed].map(|end| TurnEnd::start(&stack, end));
    let product = product(&stack.env());

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = product.serve(listener, async { drop(stopped.await) }, Duration::ZERO);
    let judging = async {
        let judged = tokio::task::spawn_blocking(move || judged_by_the_sdk(&origin, &ending)).await;
        drop(stop);
        judged.unwrap()
    };
    let (served, judged) = tokio::join!(serving, judging);
    served.unwrap();
    assert!(judged.status.success(), "{}", output_text(&judged));
}

fn product(env: &Env<'_>) -> Product {
    // As in `make dev`: with models that the fake does not know.
    let table = ModelTable::parse(include_str!("../models.toml")).unwrap();
    // The tests ask more than a day's credits pay for.
    let plans = repository_file("plans.toml");
    let plans = plans
        .replace("credits = 5\n", "credits = 500\n")
        .replace("_minute = 10\n", "_minute = 600\n");
    let plans = Plans::parse(&plans).unwrap();
    let wiring = Wiring {
        clock: system_clock(),
        entropy: system_entropy(),
        mailbox: DevMailbox::new(system_clock(), None),
        table,
        plans,
        sweeper: None,
    };
    Product::new(env, wiring).unwrap()
}

/// How a process of the product ends.
#[derive(Clone, Copy, Debug)]
enum End {
    ShutDown,
    Killed,
}

/// A stand-in for another process of the product: has a runtime of its own, and ends as soon as a client
/// connects to its switch.
struct TurnEnd {
    url: String,
    switch: u16,
}

impl TurnEnd {
    fn start(stack: &TestStack, end: End) -> Self {
        let variables: HashMap<_, _> = stack.variables().into_iter().collect();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let switch = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
                sender.send(Self { url, switch: switch.local_addr().unwrap().port() }).unwrap();
                let product = product(&Env::new(|name| variables.get(name).cloned()));
                let switched = async move { drop(switch.accept().await) };
                match end {
                    End::ShutDown => {
                        product.serve(listener, switched, Duration::ZERO).await.unwrap();
                    }
                    End::Killed => tokio::select! {
                        _ = product.serve(listener, pending(), Duration::ZERO) => {}
                        () = switched => {}
                    },
                }
            });
            // Aborts all tasks: none sends or stores anything more.
            runtime.shutdown_background();
        });
        receiver.recv().unwrap()
    }
}

fn judged_by_the_sdk(origin: &str, [shut_down, killed]: &[TurnEnd; 2]) -> Output {
    NpmProject::installed("tests/ai-sdk").test([
        ("APP_URL", origin.to_owned()),
        ("MODEL_IDLE_TIMEOUT_SECONDS", IDLE_TIMEOUT_SECONDS.to_owned()),
        ("ENDS_BY_SHUTDOWN", format!("{} {}", shut_down.url, shut_down.switch)),
        ("ENDS_KILLED", format!("{} {}", killed.url, killed.switch)),
    ])
}
