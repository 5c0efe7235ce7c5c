//! Deliveries whose signature is old: they count only if the payment provider confirms them.

use std::time::Duration;

use fake_cashfree::{Attempt, Call, Trouble, When};
use shared_cashfree::Freshness::{Fresh, Stale};
use sweep::{Deps, sweep};

use crate::orphaned_turns::cut_off;
use crate::payments::{
    GIVEN, accept_payments, attempted, counted, created, depth, ended, failing_run, ordered,
    ordered_by_many, paid_and_waits, process, put, reject_payments, run, shop, state,
};
use crate::setup::{AMPLE, count};

const COUNTS: [&str; 3] = ["deliveriesProcessed", "deliveriesWaiting", "deliveriesFailed"];

#[tokio::test]
async fn a_stale_delivery_counts_if_the_provider_calls_its_order_paid() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    paid_and_waits(&stack, order, Stale).await;
    let report = run(&stack).await;
    assert_eq!(counted(&report, COUNTS), [Some(1), Some(0), Some(0)]);
    assert_eq!(report.count("ordersFulfilled"), Some(1));
    assert_eq!((count(&stack, GIVEN).await, state(&stack, order).await), (1, "paid".to_owned()));
    assert_eq!(ended(&stack).await, [("confirmed".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_stale_delivery_that_the_provider_does_not_confirm_gives_nothing() {
    let (stack, ada) = shop().await;
    let (unpaid, failed, forged) = (
        ordered(&stack, &ada, "premium").await,
        ordered(&stack, &ada, "gold").await,
        ordered(&stack, &ada, "silver").await,
    );
    // A replay of another order's success, and one of an order that the provider has never known.
    let body = String::from_utf8(attempted(&stack, forged, Attempt::success()).body.to_vec());
    let never_there = created(&stack, &ada, "bronze").await;
    for (order, payment) in [(unpaid, "1"), (never_there, "2")] {
        let mut replay = stack.cashfree.deliveries().pop().unwrap();
        let body = body.clone().unwrap().replace(&forged.to_string(), &order.to_string());
        replay.body = body.replace("\"511491", &format!("\"{payment}11491")).into();
        put(&stack, &replay, Stale).await;
    }
    put(&stack, &attempted(&stack, failed, Attempt::failure()), Stale).await;

    let report = run(&stack).await;
    assert_eq!(counted(&report, COUNTS), [Some(3), Some(0), Some(0)]);
    assert_eq!(ended(&stack).await, [("unconfirmed".to_owned(), 3)].into());
    assert_eq!(count(&stack, GIVEN).await, 0);
    assert_eq!(count(&stack, "select count(*) from payments").await, 0);
    // A failure changes nothing, so nobody asks about it.
    assert_eq!(stack.cashfree.calls(Call::GetOrder), 2);
}

#[tokio::test]
async fn an_order_that_is_not_confirmed_is_asked_about_once_more_however_old_it_is() {
    let (stack, ada) = shop().await;
    let (order, other) =
        (ordered(&stack, &ada, "premium").await, ordered(&stack, &ada, "gold").await);
    let mut replay = attempted(&stack, other, Attempt::success());
    let body = String::from_utf8(replay.body.to_vec()).unwrap();
    replay.body = body.replace(&other.to_string(), &order.to_string()).into();
    put(&stack, &replay, Stale).await;
    // Nobody asks about it any more.
    stack.owner().await.batch_execute("update orders set check_at = null").await.unwrap();
    run(&stack).await;
    assert_eq!(ended(&stack).await, [("unconfirmed".to_owned(), 1)].into());

    attempted(&stack, order, Attempt::success());
    stack.clock.advance(Duration::from_mins(10));
    run(&stack).await;
    assert_eq!((count(&stack, GIVEN).await, state(&stack, order).await), (1, "paid".to_owned()));
}

#[tokio::test]
async fn stale_deliveries_of_unknown_orders_cost_no_request() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    let sent = attempted(&stack, order, Attempt::success());
    for (number, other) in ["order_3242", "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f"].iter().enumerate()
    {
        let mut foreign = sent.clone();
        let body = String::from_utf8(sent.body.to_vec()).unwrap();
        let body = body.replace(&order.to_string(), other);
        foreign.body = body.replace("\"511491", &format!("\"{number}11491")).into();
        put(&stack, &foreign, Stale).await;
    }
    assert_eq!(counted(&run(&stack).await, COUNTS), [Some(2), Some(0), Some(0)]);
    assert_eq!(ended(&stack).await, [("unknown_order".to_owned(), 2)].into());
    assert_eq!(stack.cashfree.calls(Call::GetOrder), 0);
}

#[tokio::test]
async fn while_the_provider_is_unavailable_stale_deliveries_wait_and_fresh_ones_do_not() {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, 3).await;
    paid_and_waits(&stack, orders[0], Stale).await;
    paid_and_waits(&stack, orders[1], Stale).await;
    paid_and_waits(&stack, orders[2], Fresh).await;
    stack.cashfree.fail_next(Call::GetOrder, 10, Trouble::Closed(When::Before));
    let error = failing_run(&stack).await;
    assert!(error.to_string().starts_with("deliveries: Cashfree gave no usable answer"), "{error}");
    assert_eq!(counted(&error.report, COUNTS), [Some(1), Some(2), Some(0)]);
    // It is slow to fail, and asked once in a run.
    assert_eq!(stack.cashfree.calls(Call::GetOrder), 1);
    assert_eq!(count(&stack, GIVEN).await, 1);

    stack.cashfree.recover();
    assert_eq!(counted(&run(&stack).await, COUNTS), [Some(2), Some(0), Some(0)]);
    assert_eq!(count(&stack, GIVEN).await, 3);
}

#[tokio::test]
async fn while_the_cache_is_unavailable_stale_deliveries_wait_and_fresh_ones_do_not() {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, 2).await;
    paid_and_waits(&stack, orders[0], Stale).await;
    paid_and_waits(&stack, orders[1], Fresh).await;
    let error = sweep(&cut_off(&stack), AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("deliveries: cache: "), "{error}");
    assert_eq!(counted(&error.report, COUNTS), [Some(1), Some(1), Some(0)]);
    assert_eq!(stack.cashfree.calls(Call::GetOrder), 0);
    run(&stack).await;
    assert_eq!(count(&stack, GIVEN).await, 2);
}

#[tokio::test]
async fn where_nothing_is_sold_stale_deliveries_wait_and_fresh_ones_do_not() {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, 2).await;
    paid_and_waits(&stack, orders[0], Stale).await;
    paid_and_waits(&stack, orders[1], Fresh).await;
    let deps = Deps { cashfree: None, ..process(&stack) };
    let report = sweep(&deps, AMPLE).await.unwrap();
    // No metric of payments: nobody has an alarm for them.
    assert_eq!(counted(&report, COUNTS), [Some(1), None, None]);
    let others = ["ordersStuck", "paymentMismatches", "paymentsMisconfigured"];
    assert_eq!(counted(&report, others), [None; 3]);
    assert_eq!((count(&stack, GIVEN).await, depth(&stack).await), (1, (1, 0)));
}

#[tokio::test]
async fn a_stale_delivery_that_cannot_be_confirmed_does_not_block_others() {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, 4).await;
    for order in &orders[..3] {
        paid_and_waits(&stack, *order, Stale).await;
    }
    paid_and_waits(&stack, orders[3], Fresh).await;
    reject_payments(&stack, orders[0]).await;
    // The provider fails for the first one, then Postgres does.
    stack.cashfree.fail_next(Call::GetPayments, 1, Trouble::MalformedJson);
    let error = failing_run(&stack).await;
    assert!(error.to_string().starts_with("deliveries: Cashfree gave no usable answer"), "{error}");
    assert_eq!(counted(&error.report, COUNTS), [Some(3), Some(1), Some(0)]);
    assert_eq!(counted(&run(&stack).await, COUNTS), [Some(0), Some(1), Some(1)]);
    accept_payments(&stack).await;
    run(&stack).await;
    assert_eq!((count(&stack, GIVEN).await, depth(&stack).await), (4, (0, 0)));
}

#[tokio::test]
async fn a_paid_order_without_a_listed_payment_keeps_its_delivery_waiting() {
    let (stack, ada) = shop().await;
    paid_and_waits(&stack, ordered(&stack, &ada, "premium").await, Stale).await;
    stack.cashfree.fail_next(Call::GetPayments, 1, Trouble::NoPayments);
    assert_eq!(counted(&run(&stack).await, COUNTS), [Some(0), Some(1), Some(0)]);
    assert_eq!(counted(&run(&stack).await, COUNTS), [Some(1), Some(0), Some(0)]);
    assert_eq!(count(&stack, GIVEN).await, 1);
}

#[tokio::test]
async fn stale_deliveries_leave_requests_to_the_checks_of_orders() {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, 9).await;
    for order in &orders[..8] {
        paid_and_waits(&stack, *order, Stale).await;
    }
    stack.cashfree.pay(&orders[8].to_string(), Attempt::success()).unwrap();
    // They fail in every run.
    stack.cashfree.fail_next(Call::GetPayments, 5, Trouble::NoPayments);
    stack.clock.advance(Duration::from_mins(10));
    let report = run(&stack).await;
    // Two requests each.
    assert_eq!(counted(&report, COUNTS), [Some(0), Some(8), Some(0)]);
    assert_eq!(counted(&report, ["ordersChecked", "ordersFulfilled"]), [Some(5), Some(5)]);
}
