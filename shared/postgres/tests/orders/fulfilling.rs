//! A payment gives what its order buys: once, and only if it is the right one.

use std::time::Duration;

use futures_util::future::join_all;
use shared_core::billing::{Fulfilment, OrderState, PaymentAttempt};
use testkit::TestStack;

use crate::setup::{
    count, create, days, fulfil, ordered, paid, periods, state, wanted, with_status,
};

#[tokio::test]
async fn a_payment_gives_the_period_that_the_order_buys() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    assert_eq!(fulfil(&stack, &paid(order, "885457437")).await, Fulfilment::Fulfilled);
    let now = stack.clock.now();
    assert_eq!(periods(&stack, &ada).await, [(now, now + days(30))]);
    let database = stack.database();
    let stored = database.request(&ada, now).order(order).await.unwrap().unwrap().order;
    assert_eq!((stored.state, stored.paid_at), (OrderState::Paid, Some(now)));
    let sql = "select count(*) from audit_log where kind = 'payment.fulfilled' and reference = (select id::text from orders)
                  and details ->> 'payment' = '885457437' and user_id is not null";
    assert_eq!(count(&stack, sql).await, 1);
    // The credits are granted by the first turn that spends them.
    assert_eq!(count(&stack, "select count(*) from credit_ledger").await, 0);
}

#[tokio::test]
async fn the_same_payment_a_hundred_times_at_once_gives_one_period() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let attempt = paid(ordered(&stack, &ada, "premium").await, "1");
    // Webhook, poll and sweep, each with a connection of its own.
    let payments: Vec<_> = (0..5).map(|_| stack.payments()).collect();
    let now = stack.clock.now();
    let reports = (0..100).map(|number| payments[number % 5].fulfil(&attempt, now));
    let results = join_all(reports).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    let fulfilled = results.iter().filter(|result| **result == Fulfilment::Fulfilled).count();
    let duplicates = results.iter().filter(|result| **result == Fulfilment::Duplicate).count();
    assert_eq!((fulfilled, duplicates), (1, 99));
    assert_eq!(periods(&stack, &ada).await.len(), 1);
    assert_eq!(count(&stack, "select count(*) from payments").await, 1);
}

#[tokio::test]
async fn orders_of_one_user_paid_at_the_same_moment_give_periods_that_follow_each_other() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let plans = ["premium", "gold", "silver", "bronze"];
    let orders = join_all(plans.map(|plan| ordered(&stack, &ada, plan))).await;
    let now = stack.clock.now();
    let payments: Vec<_> = orders.iter().map(|_| stack.payments()).collect();
    let attempts: Vec<_> = orders.iter().map(|order| paid(*order, &order.to_string())).collect();
    let reports = payments.iter().zip(&attempts).map(|(one, attempt)| one.fulfil(attempt, now));
    for result in join_all(reports).await {
        assert_eq!(result.unwrap(), Fulfilment::Fulfilled);
    }
    let expected: Vec<_> = (0..4).map(|n| (now + days(30 * n), now + days(30 * (n + 1)))).collect();
    assert_eq!(periods(&stack, &ada).await, expected);
}

#[tokio::test]
async fn a_period_begins_now_if_the_last_one_is_over_or_revoked() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    fulfil(&stack, &paid(ordered(&stack, &ada, "premium").await, "1")).await;
    stack.clock.advance(Duration::from_hours(24 * 40));
    let ada = stack.session("ada@example.com").await;
    fulfil(&stack, &paid(ordered(&stack, &ada, "premium").await, "2")).await;
    assert_eq!(periods(&stack, &ada).await[1].0, stack.clock.now());
    stack.owner().await.batch_execute("update entitlements set revoked_at = now()").await.unwrap();
    stack.clock.advance(Duration::from_hours(1));
    fulfil(&stack, &paid(ordered(&stack, &ada, "premium").await, "3")).await;
    assert_eq!(periods(&stack, &ada).await[2].0, stack.clock.now());
}

#[tokio::test]
async fn a_success_after_a_failure_counts_and_a_failure_after_a_success_does_not() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let success = paid(ordered(&stack, &ada, "premium").await, "1");
    for status in ["PENDING", "FAILED", "USER_DROPPED", "PENDING"] {
        let report = with_status(&success, status);
        assert_eq!(fulfil(&stack, &report).await, Fulfilment::Unpaid, "{status}");
        assert_eq!(fulfil(&stack, &report).await, Fulfilment::Duplicate, "{status}");
    }
    assert!(periods(&stack, &ada).await.is_empty());
    assert_eq!(fulfil(&stack, &success).await, Fulfilment::Fulfilled);
    for status in ["PENDING", "FAILED", "SUCCESS"] {
        assert_eq!(fulfil(&stack, &with_status(&success, status)).await, Fulfilment::Duplicate);
    }
    let stored = "select count(*) from payments where status = 'SUCCESS' and result = 'fulfilled'";
    assert_eq!(count(&stack, stored).await, 1);
}

#[tokio::test]
async fn a_second_payment_of_a_paid_order_is_recorded_and_gives_nothing() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    fulfil(&stack, &paid(order, "1")).await;
    let second = paid(order, "2");
    assert_eq!(fulfil(&stack, &second).await, Fulfilment::SecondPayment);
    assert_eq!(fulfil(&stack, &second).await, Fulfilment::Duplicate);
    assert_eq!(periods(&stack, &ada).await.len(), 1);
    assert_eq!(count(&stack, "select count(*) from payments").await, 2);
}

#[tokio::test]
async fn a_closed_order_can_still_become_paid() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    for (payment, closed) in [("1", OrderState::Expired), ("2", OrderState::Terminated)] {
        let order = ordered(&stack, &ada, "premium").await;
        stack.payments().close_order(order, closed).await.unwrap();
        assert_eq!(state(&stack, &ada, order).await, closed.as_str());
        assert_eq!(fulfil(&stack, &paid(order, payment)).await, Fulfilment::Fulfilled);
        assert_eq!(state(&stack, &ada, order).await, "paid");
    }
    assert_eq!(periods(&stack, &ada).await.len(), 2);
}

#[tokio::test]
async fn a_wrong_amount_or_currency_is_recorded_and_gives_nothing() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    let with = |payment: &str, amount: &str, currency: &str| PaymentAttempt {
        order_amount: amount.to_owned(),
        currency: currency.to_owned(),
        ..paid(order, payment)
    };
    let wrong = [("1", "INR"), ("450.001", "INR"), ("4500", "INR"), ("450.00", "USD"), ("", "INR")];
    for (number, (amount, currency)) in wrong.into_iter().enumerate() {
        let report = with(&number.to_string(), amount, currency);
        // Each time, because whoever got the first answer may have died before an operator was told.
        for _ in 0..2 {
            let result = fulfil(&stack, &report).await;
            assert_eq!(result, Fulfilment::Mismatch, "{amount} {currency}");
        }
        assert_eq!(fulfil(&stack, &with_status(&report, "FAILED")).await, Fulfilment::Duplicate);
    }
    assert_eq!(count(&stack, "select count(*) from payments where result = 'mismatch'").await, 5);
    assert_eq!(count(&stack, "select count(*) from audit_log").await, 5);
    assert!(periods(&stack, &ada).await.is_empty());
    // What was paid may differ from the order's amount, and zeros do not matter.
    let offer = PaymentAttempt { amount: Some("400.00".into()), ..with("ok", "450.0", "INR") };
    assert_eq!(fulfil(&stack, &offer).await, Fulfilment::Fulfilled);
}

#[tokio::test]
async fn a_report_that_was_wrong_is_corrected_by_a_right_one() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let right = paid(ordered(&stack, &ada, "premium").await, "1");
    let wrong = PaymentAttempt { order_amount: "4.5e2".to_owned(), ..right.clone() };
    assert_eq!(fulfil(&stack, &wrong).await, Fulfilment::Mismatch);
    assert_eq!(fulfil(&stack, &right).await, Fulfilment::Fulfilled);
    assert_eq!(fulfil(&stack, &wrong).await, Fulfilment::Duplicate);
    assert_eq!(periods(&stack, &ada).await.len(), 1);
}

#[tokio::test]
async fn a_period_can_begin_when_a_revoked_one_did() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    for payment in ["1", "2"] {
        fulfil(&stack, &paid(ordered(&stack, &ada, "premium").await, payment)).await;
    }
    let second = periods(&stack, &ada).await[1].0;
    let revoke = "update entitlements set revoked_at = now() where starts_at = $1";
    stack.owner().await.execute(revoke, &[&second]).await.unwrap();
    for payment in ["3", "4"] {
        let order = paid(ordered(&stack, &ada, "premium").await, payment);
        assert_eq!(fulfil(&stack, &order).await, Fulfilment::Fulfilled);
    }
    let starts: Vec<_> = periods(&stack, &ada).await.iter().map(|period| period.0).collect();
    assert_eq!(starts[2], second + Duration::from_micros(1));
    assert_eq!(starts[3], starts[2] + days(30));
}

#[tokio::test]
async fn a_payment_of_an_order_that_is_not_here_is_not_recorded() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    for other in ["0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f", "order_3242", "", "'; drop table orders"]
    {
        let report = PaymentAttempt { order: other.to_owned(), ..paid(order, "1") };
        assert_eq!(fulfil(&stack, &report).await, Fulfilment::UnknownOrder, "{other}");
    }
    assert_eq!(count(&stack, "select count(*) from payments").await, 0);
}

#[tokio::test]
async fn a_payment_belongs_to_one_order() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let (one, other) =
        (ordered(&stack, &ada, "premium").await, ordered(&stack, &ada, "gold").await);
    fulfil(&stack, &paid(one, "1")).await;
    assert_eq!(fulfil(&stack, &paid(other, "1")).await, Fulfilment::Mismatch);
    assert_eq!(state(&stack, &ada, other).await, "created");
}

#[tokio::test]
async fn the_books_outlive_the_account_and_the_phone_does_not() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let (_, late) = create(&stack, &ada, &wanted("gold")).await.unwrap();
    let order = ordered(&stack, &ada, "premium").await;
    fulfil(&stack, &paid(order, "1")).await;
    let database = stack.database();
    database.request(&ada, stack.clock.now()).remember_phone(Some(b"encrypted")).await.unwrap();
    assert_eq!(count(&stack, "select count(phone) from billing_contacts").await, 1);

    stack.owner().await.batch_execute("delete from users").await.unwrap();
    assert_eq!(count(&stack, "select count(phone) from billing_contacts").await, 0);
    for table in ["orders", "payments"] {
        let kept = format!(
            "select count(*) from {table} join billing_contacts using (payer) where {table}.user_id is null"
        );
        assert!(count(&stack, &kept).await > 0, "{table}");
    }
    // A payment that comes now is recorded, and gives nothing.
    for _ in 0..2 {
        assert_eq!(fulfil(&stack, &paid(late.order.id, "2")).await, Fulfilment::UserGone);
    }
    assert_eq!(count(&stack, "select count(*) from payments where result = 'user_gone'").await, 1);
    assert_eq!(count(&stack, "select count(*) from entitlements").await, 0);
    assert_eq!(count(&stack, "select count(*) from audit_log").await, 2);
}
