//! The sweep on one machine: on request, and at intervals.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use axum::body::Body;
use http::Request;
use local::{DevMailbox, Product, Sweeper, Wiring};
use serde_json::Value;
use shared_core::chat::ORPHANED_AFTER;
use shared_lambda::system_entropy;
use shared_postgres::{DatabaseConfig, Jobs};
use sweep::Deps;
use testkit::{Client, TestStack, next_turn};

fn sweeper(stack: &TestStack) -> Sweeper {
    let clock = stack.clock.clock();
    let jobs = Jobs::new(&DatabaseConfig::at(&stack.owner_url()), clock.clone()).unwrap();
    Sweeper::new(Deps {
        jobs,
        vault: stack.vault(),
        cache: stack.cache(),
        inbox: stack.inbox(),
        files: stack.files(),
        cashfree: stack.cashfree_client(),
        openrouter: stack.openrouter(),
        clock,
        entropy: system_entropy(),
    })
}

fn client(stack: &TestStack) -> Client {
    let wiring = Wiring {
        clock: stack.clock.clock(),
        entropy: system_entropy(),
        mailbox: DevMailbox::new(stack.clock.clock(), None),
        table: (*stack.table()).clone(),
        plans: (*stack.plans()).clone(),
        sweeper: Some(sweeper(stack)),
    };
    Client::new(Product::new(&stack.env(), wiring).unwrap().router())
}

/// Leaves an orphaned turn.
async fn orphan_turn(stack: &TestStack, number: usize) {
    let ada = stack.session("ada@example.com").await;
    let (database, plans) = (stack.database(), stack.plans());
    let turn = next_turn(&format!("chat-{number:04}"), number);
    database.request(&ada, stack.clock.now()).begin_turn(&turn, &plans, None).await.unwrap();
    stack.clock.advance(ORPHANED_AFTER + Duration::from_secs(1));
}

const RELEASED: &str = "select count(*) from turns where state = 'released'";

#[tokio::test]
async fn a_sweep_on_request_returns_its_report_or_its_error() {
    let stack = TestStack::start().await;
    orphan_turn(&stack, 1).await;
    let client = client(&stack);
    let ask = || Request::post("/local/sweep").body(Body::empty()).unwrap();
    let answer = client.send(ask()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let report: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(report["orphanedTurnsClosed"], 1);

    stack.owner().await.execute("revoke select on turns from app_job", &[]).await.unwrap();
    let answer = client.send(ask()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("orphaned turns: postgres: "), "{}", answer.body);
}

#[tokio::test]
async fn a_cross_site_request_cannot_sweep() {
    let stack = TestStack::start().await;
    let ask = Request::post("/local/sweep").header("sec-fetch-site", "cross-site");
    let answer = client(&stack).send(ask.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn it_sweeps_at_intervals_and_retries_after_a_failure() {
    let stack = TestStack::start().await;
    let (sweeper, owner) = (sweeper(&stack), stack.owner().await);
    let life = async {
        orphan_turn(&stack, 1).await;
        stack.until_count(1, RELEASED).await;
        owner.execute("revoke select on turns from app_job", &[]).await.unwrap();
        orphan_turn(&stack, 2).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        stack.until_count(1, RELEASED).await;
        owner.execute("grant select on turns to app_job", &[]).await.unwrap();
        stack.until_count(2, RELEASED).await;
    };
    tokio::select! {
        never = sweeper.every(Duration::from_millis(20)) => match never {},
        () = life => {}
    }
}
