//! Functions that are killed at any point between the two stores: nothing is lost, and nothing is given twice.

use fake_cashfree::Delivery;
use futures_util::future::join_all;
use runtime_api::{Invocation, RuntimeApi};
use testkit::{Function, delivery_event};

use crate::api::outages::{Silent, lock, unlock};
use crate::api::setup::{Shop, assert_accepted, books, done, ends, until, until_put, waiting};

const BINARY: &str = env!("CARGO_BIN_EXE_webhook");

/// Where a function is killed, with regard to Postgres.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// After it has put the delivery, and before Postgres has it.
    Before,
    /// While Postgres fulfils the order.
    Within,
    /// After Postgres has fulfilled the order, and before the delivery is removed.
    After,
}

/// What brings the delivery again.
#[derive(Clone, Copy, Debug)]
enum Again {
    Retry,
    Sweep,
}

/// A function that has begun to process a delivery.
struct Running {
    _function: Function,
    _lambda: RuntimeApi,
    _invocation: Invocation,
}

async fn begin(shop: &Shop, postgres: Option<&Silent>, delivery: &Delivery) -> Running {
    let mut variables = shop.stack.variables();
    if let Some(postgres) = postgres {
        variables.retain(|(name, _)| *name != "MONEY_DATABASE_URL");
        variables.push(("MONEY_DATABASE_URL", postgres.as_postgres()));
    }
    let lambda = RuntimeApi::start().await.unwrap();
    let function = Function::start(BINARY, &variables, &lambda);
    lambda.until_idle(1).await;
    let invocation = lambda.invoke(delivery_event(delivery));
    Running { _function: function, _lambda: lambda, _invocation: invocation }
}

async fn kill(shop: &Shop, point: Point, delivery: &Delivery) {
    match point {
        Point::Before => {
            let silent = Silent::start();
            let running = begin(shop, Some(&silent), delivery).await;
            until_put(shop).await;
            drop(running);
            shop.assert_books("active", "", 0).await;
        }
        Point::Within => {
            let locked = lock(shop).await;
            let running = begin(shop, None, delivery).await;
            until_put(shop).await;
            let hangs = "select count(*) from pg_stat_activity
                          where datname = current_database() and wait_event_type = 'Lock'";
            shop.stack.until_count(1, hangs).await;
            drop(running);
            unlock(&locked).await;
        }
        Point::After => {
            let locked = lock(shop).await;
            let running = begin(shop, None, delivery).await;
            until_put(shop).await;
            shop.stack.dynamodb.stop().await;
            let silent = Silent::instead_of_dynamodb(shop);
            unlock(&locked).await;
            until(async || books(&shop.stack).await.2 == 1).await;
            drop(running);
            drop(silent);
            shop.stack.dynamodb.start_again().await.unwrap();
            shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
        }
    }
    assert_eq!(waiting(&shop.stack).await.len(), 1, "{point:?}");
    assert!(done(&shop.stack).await.is_empty(), "{point:?}");
}

async fn killed_and_again(point: Point, again: Again) {
    let shop = Shop::open().await;
    let delivery = shop.paid();
    kill(&shop, point, &delivery).await;
    match again {
        Again::Retry => assert_accepted(&shop.webhook.deliver(&delivery).await),
        Again::Sweep => {
            let report = shop.stack.sweep(&shop.stack.owner_url()).await;
            assert_eq!(report.count("deliveriesProcessed"), Some(1), "{report:?}");
        }
    }
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert!(waiting(&shop.stack).await.is_empty(), "{point:?} {again:?}");
    assert_eq!(ends(&shop.stack).await.len(), 1, "{point:?} {again:?}");
    let audited = "select count(*) from audit_log where kind = 'payment.fulfilled'";
    shop.stack.until_count(1, audited).await;
}

#[tokio::test]
async fn a_function_that_is_killed_anywhere_loses_nothing_and_gives_nothing_twice() {
    let points = [Point::Before, Point::Within, Point::After];
    let cases = points
        .into_iter()
        .flat_map(|point| [Again::Retry, Again::Sweep].map(|again| (point, again)));
    join_all(cases.map(|(point, again)| killed_and_again(point, again))).await;
}
