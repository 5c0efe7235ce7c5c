//! A limit that Cashfree has told is obeyed without asking again.

use std::time::Duration;

use shared_cashfree::{Cashfree, CashfreeError};
use testkit::MovableClock;

use crate::server::{Answer, Server, answer};
use crate::setup::{clock, config, id, new_order, order_body, phone};

async fn start(answers: impl IntoIterator<Item = Answer>) -> (Server, Cashfree, MovableClock) {
    let (server, clock) = (Server::start(answers).await, clock());
    let client = Cashfree::new(&config(&server.base_url), clock.clock()).unwrap();
    (server, client, clock)
}

fn seconds<T: std::fmt::Debug>(result: Result<T, CashfreeError>) -> u64 {
    match result {
        Err(CashfreeError::RateLimited { retry_after }) => retry_after.as_secs(),
        other => panic!("not limited: {other:?}"),
    }
}

fn limited(retry: &'static str) -> Answer {
    Answer::Is(429, vec![("x-ratelimit-retry", retry)], String::new())
}

#[tokio::test]
async fn after_a_429_nothing_is_asked_until_its_time_is_over() {
    let (server, client, clock) = start([limited("7"), answer(200, order_body("ACTIVE"))]).await;
    assert_eq!(seconds(client.order(id()).await), 7);
    clock.advance(Duration::from_secs(6));
    assert_eq!(seconds(client.clone().order(id()).await), 1);
    assert_eq!(server.lines().len(), 1);
    clock.advance(Duration::from_secs(1));
    client.order(id()).await.unwrap();
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn after_the_last_permitted_request_nothing_is_asked_for_a_minute() {
    let last = Answer::Is(200, vec![("x-ratelimit-remaining", "0")], order_body("ACTIVE"));
    let (server, client, _clock) = start([last]).await;
    client.order(id()).await.unwrap();
    assert_eq!(seconds(client.order(id()).await), 60);
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn each_kind_of_request_has_a_limit_of_its_own() {
    let (server, client, _clock) = start([]).await;
    let phone = phone();
    for _ in 0..4 {
        server.will(limited("9"));
    }
    assert_eq!(seconds(client.order(id()).await), 9);
    assert_eq!(seconds(client.payments(id()).await), 9);
    assert_eq!(seconds(client.terminate(id()).await), 9);
    assert_eq!(seconds(client.create_order(&new_order(&phone)).await), 9);
    assert_eq!(server.lines().len(), 4);
    assert_eq!(seconds(client.payments(id()).await), 9);
    assert_eq!(seconds(client.create_order(&new_order(&phone)).await), 9);
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn a_429_without_a_time_is_obeyed_for_a_minute() {
    let (_server, client, _clock) = start([answer(429, "")]).await;
    let error = client.order(id()).await.unwrap_err();
    assert!(
        matches!(error, CashfreeError::RateLimited { retry_after } if retry_after == Duration::from_mins(1)),
        "{error:?}"
    );
}
