//! The same delivery many times, and several at the same moment.

use fake_cashfree::Attempt;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::api::setup::{Shop, assert_accepted, attempt_to_pay, done, instance, waiting};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_comes_a_hundred_times_at_once_gives_one_period() {
    let shop = Shop::open().await;
    let delivery = shop.paid();
    // Lambda spreads them over instances.
    let instances: Vec<_> = (0..10).map(|_| instance(&shop.stack)).collect();
    let answers = join_all((0..100).map(|number| instances[number % 10].deliver(&delivery))).await;
    answers.iter().for_each(assert_accepted);
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    assert_eq!((waiting(&shop.stack).await.len(), done(&shop.stack).await.len()), (0, 1));
    let audited = "select count(*) from audit_log where kind = 'payment.fulfilled'";
    shop.stack.until_count(1, audited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_one_user_that_are_paid_at_the_same_moment_give_periods_that_follow_each_other() {
    let shop = Shop::open().await;
    let gold = shop.stack.order_of(&shop.ada, "gold").await;
    let deliveries =
        [shop.order, gold].map(|order| attempt_to_pay(&shop.stack, order, Attempt::success()));
    // Each several times, in turn.
    let instances: Vec<_> = (0..4).map(|_| instance(&shop.stack)).collect();
    let answers = (0..12).map(|number| instances[number % 4].deliver(&deliveries[number % 2]));
    join_all(answers).await.iter().for_each(assert_accepted);
    shop.assert_books("paid paid", "SUCCESS fulfilled, SUCCESS fulfilled", 2).await;

    let sql = "select starts_at, ends_at from entitlements order by starts_at";
    let rows = shop.stack.owner().await.query(sql, &[]).await.unwrap();
    let periods: Vec<(Timestamp, Timestamp)> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let (now, month) = (shop.stack.clock.now(), SignedDuration::from_hours(30 * 24));
    assert_eq!(periods, [(now, now + month), (now + month, now + month + month)]);
}
