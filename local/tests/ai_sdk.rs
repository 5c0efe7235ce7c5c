//! `tests/ai-sdk`, which drives the product with the AI SDK's own client, on a product of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests stop where something breaks"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use local::{Inbox, Product, Wiring};
use shared_core::catalogue::ModelTable;
use shared_core::plans::Plans;
use shared_http::{system_clock, system_entropy};
use testkit::{TestStack, repository_file};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Some models of the stand-in never speak; the tests wait this long for them.
const SILENCE_SECONDS: &str = "2";

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdks_own_client_works_unchanged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let mut stack = TestStack::start().await;
    stack.set("APP_ORIGIN", &origin);
    stack.set("MODEL_SILENCE_SECONDS", SILENCE_SECONDS);
    stack.set("HEARTBEAT_SECONDS", "1");
    // As `make dev` offers them: the provider's unknown models too.
    let table = ModelTable::parse(include_str!("../models.toml")).unwrap();
    // Those who try things out ask more than a day's credits pay for.
    let plans = repository_file("plans.toml");
    let plans = plans
        .replace("credits = 5\n", "credits = 500\n")
        .replace("_minute = 10\n", "_minute = 600\n");
    let plans = Plans::parse(&plans).unwrap();
    let wiring = Wiring {
        clock: system_clock(),
        entropy: system_entropy(),
        inbox: Inbox::new(system_clock(), None),
        table,
        plans,
        sweeper: None,
    };
    let product = Product::new(&stack.env(), wiring).unwrap();

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = product.serve(listener, async { drop(stopped.await) });
    let judging = async {
        let judged = tokio::task::spawn_blocking(move || judged_by_the_sdk(&origin)).await;
        drop(stop);
        judged.unwrap()
    };
    let (served, judged) = tokio::join!(serving, judging);
    served.unwrap();
    assert!(judged.status.success(), "{}", text(&judged));
}

fn judged_by_the_sdk(origin: &str) -> Output {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ai-sdk");
    install(&directory);
    program("node", &directory)
        .args(["--test", "--test-reporter=spec", "--test-timeout=60000"])
        .env("APP_URL", origin)
        .env("MODEL_SILENCE_SECONDS", SILENCE_SECONDS)
        .output()
        .expect("Node 20 or newer runs these tests")
}

/// Brings the SDK, unless what is there was made from the same lock file.
fn install(directory: &Path) {
    let modules: PathBuf = directory.join("node_modules");
    let made_from = modules.join(".made-from.json");
    let lock = fs::read(directory.join("package-lock.json")).unwrap();
    if fs::read(&made_from).is_ok_and(|installed| installed == lock) {
        return;
    }
    let installed = program("npm", directory)
        .args(["ci", "--no-audit", "--no-fund"])
        .output()
        .expect("npm brings the SDK");
    assert!(installed.status.success(), "{}", text(&installed));
    fs::write(made_from, lock).unwrap();
}

fn program(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(directory);
    command
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}
