//! The life of a Lambda environment: it starts with secrets, it is frozen, its stream breaks, it gets
//! concurrent requests.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use fake_aws::{FakeAws, Trouble};
use fake_openrouter::FakeOpenRouter;
use fake_openrouter::script::{Gate, delta, done, gate, pause, role, stop};
use local_stack::PrivateServers;
use runtime_api::{Invocation, RuntimeApi};
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use testkit::{Answer, Function, Stopwatch, TestStack, question_json};
use tokio::time::timeout;

const BINARY: &str = env!("CARGO_BIN_EXE_chat-stream");
/// The model in the events.
const MODEL: &str = "openai/gpt-5-mini";

async fn cookie(stack: &TestStack) -> String {
    stack.cookie(&stack.session("ada@example.com").await)
}

fn ask(lambda: &RuntimeApi, cookie: &str, chat: usize) -> Invocation {
    lambda.invoke(question_json(cookie, chat))
}

async fn answer(invocation: Invocation) -> Answer {
    invocation.collect().await.unwrap().into()
}

/// Closes every connection of the app, from the servers' side.
async fn cut_every_connection(stack: &mut TestStack, servers: &PrivateServers) {
    let ended = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where usename = 'app_user'";
    let (client, connection) =
        tokio_postgres::connect(&servers.owner_url(), tokio_postgres::NoTls).await.unwrap();
    tokio::select! {
        count = client.query_one(ended, &[]) => {
            assert!(count.unwrap().get::<_, i64>(0) > 0, "no connection to postgres");
        }
        _ = connection => unreachable!("the connection lives as long as its client"),
    }
    let mut cache = redis::Client::open(servers.cache_url()).unwrap().get_connection().unwrap();
    let killed: i64 =
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut cache).unwrap();
    assert!(killed > 0, "no connection to the cache");
    // The provider closes every connection, and is back at the same address.
    let address = stack.provider.address();
    let meanwhile = FakeOpenRouter::start().await.unwrap();
    std::mem::replace(&mut stack.provider, meanwhile).shutdown().await;
    stack.provider = FakeOpenRouter::start_on(address).await.unwrap();
}

#[tokio::test]
async fn an_environment_that_was_frozen_for_hours_answers_its_first_request() {
    let servers = PrivateServers::start().await.unwrap();
    migrate(&DatabaseConfig::at(&servers.owner_url()), Destructive::Refused).await.unwrap();
    let mut stack = TestStack::start().await;
    stack.set("DATABASE_URL", servers.app_url());
    stack.set("CACHE_URL", servers.cache_url());
    let cookie = cookie(&stack).await;
    let lambda = RuntimeApi::start().await.unwrap();
    let function = Function::start(BINARY, &stack.variables(), &lambda);
    assert_eq!(answer(ask(&lambda, &cookie, 0)).await.text(), "How do ships float?");

    for sleep in 1..=3 {
        cut_every_connection(&mut stack, &servers).await;
        let watch = Stopwatch::start();
        let after = answer(ask(&lambda, &cookie, sleep)).await;
        let taken = watch.elapsed_on_time();
        assert_eq!(after.text(), "How do ships float?", "{}", function.log());
        assert!(taken < Duration::from_secs(5), "{taken:?}");
        // One request to the provider, however often the function had to reconnect.
        assert_eq!(stack.provider.requests().len(), 1);
    }
    // The cache was reconnected too: an outage would be logged.
    assert!(!function.log().contains("without the cache"), "{}", function.log());
}

#[tokio::test]
async fn an_answer_whose_stream_breaks_is_stored_and_its_environment_exits() {
    let stack = TestStack::start().await;
    let cookie = cookie(&stack).await;
    let lambda = RuntimeApi::start().await.unwrap();
    let mut function = Function::start(BINARY, &stack.variables(), &lambda);
    let end = Gate::default();
    let script = [
        role(),
        delta("half of it, "),
        gate(&end),
        // Long enough for a function that did not wait for it to exit first.
        pause(Duration::from_millis(300)),
        delta("and the rest"),
        stop(),
        done(),
    ];
    stack.provider.script(MODEL, script);
    let mut broken = ask(&lambda, &cookie, 0);
    while !String::from_utf8_lossy(&broken.chunk().await.unwrap().unwrap().bytes).contains("half") {
    }
    broken.break_stream();
    end.open();
    // The runtime gives up on its connection; the function exits when its turns are done.
    function.exit().await;
    stack
        .until_count(1, "select count(*) from messages where status = 'complete' and parts::text like '%half of it, and the rest%'")
        .await;

    let _next = Function::start(BINARY, &stack.variables(), &lambda);
    end.open();
    assert_eq!(answer(ask(&lambda, &cookie, 1)).await.text(), "half of it, and the rest");
}

#[tokio::test]
async fn secrets_are_fetched_in_one_call_before_the_first_request() {
    let aws = FakeAws::start().await.unwrap();
    let mut stack = TestStack::start().await;
    let cookie = cookie(&stack).await;
    for (variable, secret) in
        [("SESSION_KEYS", "chat/sessions"), ("OPENROUTER_API_KEY", "openrouter")]
    {
        let value = stack.env().required(variable).unwrap();
        aws.put_secret(secret, &value);
        stack.set(variable, format!("secret:{secret}"));
    }
    for (name, value) in aws.variables() {
        stack.set(name, value);
    }
    let lambda = RuntimeApi::start().await.unwrap();
    let function = Function::start(BINARY, &stack.variables(), &lambda);
    lambda.until_idle(1).await;
    assert_eq!(answer(ask(&lambda, &cookie, 0)).await.text(), "How do ships float?");
    assert_eq!(answer(ask(&lambda, &cookie, 1)).await.text(), "How do ships float?");
    assert_eq!(aws.calls().len(), 1);
    let log = function.log();
    assert!(!log.contains("sk-or-") && !log.contains("0123456789abcdef0123456789abcdef"), "{log}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_is_named() {
    let aws = FakeAws::start().await.unwrap();
    let mut stack = TestStack::start().await;
    for (name, value) in aws.variables() {
        stack.set(name, value);
    }
    stack.set("OPENROUTER_API_KEY", "secret:openrouter");
    let lambda = RuntimeApi::start().await.unwrap();
    let missing = Function::start(BINARY, &stack.variables(), &lambda).complaint().await;
    assert!(
        missing.contains("OPENROUTER_API_KEY") && missing.contains("does not exist"),
        "{missing}"
    );

    aws.script(3, &Trouble::Denied);
    let denied = Function::start(BINARY, &stack.variables(), &lambda).complaint().await;
    assert!(denied.contains("AccessDenied") && denied.contains("OPENROUTER_API_KEY"), "{denied}");
}

#[tokio::test]
async fn an_environment_of_managed_instances_answers_concurrent_requests() {
    let mut stack = TestStack::start().await;
    stack.set("AWS_LAMBDA_MAX_CONCURRENCY", "4");
    let cookie = cookie(&stack).await;
    let lambda = RuntimeApi::start().await.unwrap();
    let _function = Function::start(BINARY, &stack.variables(), &lambda);
    lambda.until_idle(4).await;
    let end = Gate::default();
    stack.provider.script(MODEL, [role(), delta("slowly"), gate(&end), stop(), done()]);
    let asked: Vec<_> = (0..4).map(|chat| ask(&lambda, &cookie, chat)).collect();
    let all_run = async {
        while stack.provider.active_streams() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // None of them can end before all have begun.
    timeout(Duration::from_secs(30), all_run).await.expect("they wait for each other");
    // Opened for all before one is read: any of them may pass it first.
    for _ in &asked {
        end.open();
    }
    for invocation in asked {
        assert_eq!(answer(invocation).await.text(), "slowly");
    }
}
