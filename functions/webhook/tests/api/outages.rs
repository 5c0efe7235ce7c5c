//! Outages of Postgres and of DynamoDB: a delivery is accepted as long as one of them has it.

use std::net::TcpListener;
use std::time::Duration;

use fake_cashfree::Attempt;
use serde_json::json;
use testkit::{Answer, PHONE, Stopwatch};
use tokio_postgres::Client;

use crate::api::setup::{
    NO_POSTGRES, Post, Shop, assert_accepted, attempt_to_pay, done, ends, until_put, waiting,
};

/// A server that takes connections and never answers.
pub(crate) struct Silent {
    listener: TcpListener,
}

impl Silent {
    pub(crate) fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// In the place of DynamoDB, which has to be stopped.
    pub(crate) fn instead_of_dynamodb(shop: &Shop) -> Self {
        let url = shop.stack.dynamodb.url();
        Self { listener: TcpListener::bind(url.trim_start_matches("http://")).unwrap() }
    }

    pub(crate) fn as_postgres(&self) -> String {
        format!("postgres://app_money@{}/x", self.listener.local_addr().unwrap())
    }
}

/// Locks the order, so that whatever fulfils it hangs until [`unlock`].
pub(crate) async fn lock(shop: &Shop) -> Client {
    let owner = shop.stack.owner().await;
    owner.batch_execute("begin; select from orders for update").await.unwrap();
    owner
}

pub(crate) async fn unlock(lock: &Client) {
    lock.batch_execute("rollback").await.unwrap();
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.refusal(), (503, "unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("5"));
}

/// Fails unless exactly one delivery waits, without personal data.
async fn assert_waits(shop: &Shop) {
    let [item] = waiting(&shop.stack).await.try_into().unwrap();
    assert_eq!(item.body.unwrap()["isStale"], json!(false));
    for private in [PHONE, "customer", "fake@upi"] {
        assert!(!item.text.contains(private), "{}", item.text);
    }
    assert!(done(&shop.stack).await.is_empty());
}

#[tokio::test]
async fn without_postgres_a_delivery_waits_and_is_fulfilled_by_the_next_sweep_or_retry() {
    for is_swept in [true, false] {
        let shop = Shop::open().await;
        let healthy = shop.webhook.clone();
        let shop = shop.with("MONEY_DATABASE_URL", NO_POSTGRES);
        let delivery = shop.paid();
        for _ in 0..2 {
            shop.accepts(&delivery).await;
            assert_waits(&shop).await;
        }
        shop.assert_books("active", "", 0).await;
        if is_swept {
            let report = shop.stack.sweep(&shop.stack.owner_url()).await;
            let counts =
                ["deliveriesProcessed", "deliveriesWaiting"].map(|name| report.count(name));
            assert_eq!(counts, [Some(1), Some(0)], "{report:?}");
        } else {
            assert_accepted(&healthy.deliver(&delivery).await);
        }
        shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
        assert_eq!(ends(&shop.stack).await, ["fulfilled"]);
        assert!(waiting(&shop.stack).await.is_empty());
    }
}

#[tokio::test]
async fn a_postgres_that_hangs_does_not_hold_up_the_answer() {
    let shop = Shop::open().await;
    let (delivery, locked) = (shop.paid(), lock(&shop).await);
    let watch = Stopwatch::start();
    shop.accepts(&delivery).await;
    let taken = watch.elapsed_on_time();
    assert!(taken < Duration::from_secs(2), "{taken:?}");
    assert_waits(&shop).await;
    unlock(&locked).await;
    // Postgres may finish what nobody waits for any more, or not.
    shop.stack.sweep(&shop.stack.owner_url()).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert!(waiting(&shop.stack).await.is_empty());
}

#[tokio::test]
async fn without_dynamodb_postgres_alone_suffices() {
    let shop = Shop::open().await;
    let deliveries = [shop.attempt(Attempt::failure()), shop.paid()];
    shop.stack.dynamodb.stop().await;
    for delivery in &deliveries {
        for _ in 0..2 {
            shop.accepts(delivery).await;
        }
    }
    shop.assert_books("paid", "FAILED unpaid, SUCCESS fulfilled", 1).await;
}

#[tokio::test]
async fn a_dynamodb_that_hangs_delays_the_answer_and_no_more() {
    let shop = Shop::open().await;
    let delivery = shop.paid();
    shop.stack.dynamodb.stop().await;
    let _silent = Silent::instead_of_dynamodb(&shop);
    let watch = Stopwatch::start();
    shop.accepts(&delivery).await;
    let taken = watch.elapsed_on_time();
    assert!(taken < Duration::from_secs(4), "{taken:?}");
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
}

#[tokio::test]
async fn without_dynamodb_what_postgres_does_not_record_is_not_accepted() {
    let shop = Shop::open().await;
    let (secret, now) = (shop.stack.cashfree.client_secret(), shop.stack.clock.now());
    let foreign = shop.stack.foreign_order().await;
    let mut late = shop.paid();
    late.resign(&secret, now - Duration::from_mins(6));
    let posts = [
        Post::from(&attempt_to_pay(&shop.stack, foreign, Attempt::success())),
        Post::from(&late),
        Post::signed(&secret, now, r#"{"type":"SETTLEMENT_SUCCESS"}"#),
        Post::signed(&secret, now, "no JSON"),
    ];
    shop.stack.dynamodb.stop().await;
    for post in &posts {
        assert_unavailable(&post.to(&shop.webhook).await);
    }
    shop.assert_books("active", "", 0).await;
    shop.stack.dynamodb.start_again().await.unwrap();
    for post in &posts {
        assert_accepted(&post.to(&shop.webhook).await);
    }
    let stored = (waiting(&shop.stack).await.len(), done(&shop.stack).await.len());
    assert_eq!(stored, (1, 3));
}

#[tokio::test]
async fn without_both_a_delivery_is_not_accepted_and_the_providers_retry_brings_it() {
    for minutes_later in [2, 10] {
        let shop = Shop::open().await;
        let healthy = shop.webhook.clone();
        let shop = shop.with("MONEY_DATABASE_URL", NO_POSTGRES);
        let delivery = shop.paid();
        shop.stack.dynamodb.stop().await;
        assert_unavailable(&shop.webhook.deliver(&delivery).await);
        shop.stack.dynamodb.start_again().await.unwrap();
        assert!(waiting(&shop.stack).await.is_empty());
        shop.assert_books("active", "", 0).await;

        shop.stack.clock.advance(Duration::from_mins(minutes_later));
        assert_accepted(&healthy.deliver(&delivery).await);
        // Ten minutes later the same signature is stale.
        if minutes_later == 10 {
            shop.assert_books("active", "", 0).await;
            shop.stack.sweep(&shop.stack.owner_url()).await;
        }
        shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
        assert!(waiting(&shop.stack).await.is_empty());
    }
}

#[tokio::test]
async fn a_delivery_whose_removal_fails_is_accepted_and_gives_nothing_twice() {
    let shop = Shop::open().await;
    let (delivery, locked) = (shop.paid(), lock(&shop).await);
    let outage = async {
        until_put(&shop).await;
        shop.stack.dynamodb.stop().await;
        unlock(&locked).await;
    };
    tokio::join!(shop.accepts(&delivery), outage);
    shop.stack.dynamodb.start_again().await.unwrap();
    shop.stack.until_count(1, "select count(*) from entitlements").await;
    assert_waits(&shop).await;
    shop.stack.sweep(&shop.stack.owner_url()).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert_eq!(ends(&shop.stack).await, ["duplicate"]);
    assert!(waiting(&shop.stack).await.is_empty());
}
