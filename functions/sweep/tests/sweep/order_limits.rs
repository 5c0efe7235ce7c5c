//! The payment provider's limits and failures, while orders are due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fake_cashfree::{Attempt, Call, Trouble, When};
use jiff::Timestamp;
use shared_core::billing::OrderId;
use shared_core::clock::Clock;
use sweep::sweep;
use testkit::TestStack;

use crate::orphaned_turns::cut_off;
use crate::payments::{
    GIVEN, accept_payments, counted, failing_run, ordered_by_many, process, reject_payments, run,
    shop,
};
use crate::setup::{A, AMPLE, B, bring_keys, count, deps, vault, with_clock};

/// So many orders that are due.
async fn due(count: i32) -> (TestStack, Vec<OrderId>) {
    let (stack, _) = shop().await;
    let orders = ordered_by_many(&stack, count).await;
    stack.clock.advance(Duration::from_mins(10));
    (stack, orders)
}

/// As [`due`], and paid.
async fn due_and_paid(count: i32) -> (TestStack, Vec<OrderId>) {
    let (stack, orders) = due(count).await;
    for order in &orders {
        stack.cashfree.pay(&order.to_string(), Attempt::success()).unwrap();
    }
    (stack, orders)
}

fn asked(stack: &TestStack) -> usize {
    stack.cashfree.requests().iter().filter(|request| request.call != Call::CreateOrder).count()
}

#[tokio::test]
async fn in_any_minute_the_sandbox_is_asked_at_most_twenty_times() {
    let (stack, _) = due(60).await;
    let mut asked_at: Vec<Timestamp> = Vec::new();
    for _ in 0..18 {
        // Each in a process of its own.
        run(&stack).await;
        asked_at.resize(asked(&stack), stack.clock.now());
        stack.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(asked_at.len(), 60, "all orders, within three minutes");
    for twenty_one in asked_at.windows(21) {
        assert!(twenty_one[20].duration_since(twenty_one[0]).as_secs() >= 60);
    }
}

#[tokio::test]
async fn in_any_minute_production_is_asked_at_most_a_hundred_times() {
    let (mut stack, _) = due(104).await;
    stack.set("CASHFREE_MODE", "production");
    // It does not know those of the sandbox.
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(0));
    let owner = stack.owner().await;
    owner.batch_execute("update orders set mode = 'production'").await.unwrap();
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(100));
    stack.clock.advance(Duration::from_secs(59));
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(0));
    stack.clock.advance(Duration::from_secs(1));
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(4));
}

#[tokio::test]
async fn the_provider_s_own_limits_are_obeyed() {
    let (stack, _) = due(9).await;
    stack.cashfree.limit(Call::GetOrder, 5);
    let deps = process(&stack);
    let checked = async |passes| {
        stack.clock.advance(Duration::from_secs(passes));
        sweep(&deps, AMPLE).await.unwrap().count("ordersChecked")
    };
    // The fifth answer says that none is left.
    assert_eq!((checked(0).await, asked(&stack)), (Some(5), 5));
    assert_eq!((checked(30).await, asked(&stack)), (Some(0), 5));
    assert_eq!((checked(31).await, asked(&stack)), (Some(4), 9));

    // A process that does not know of it is told.
    let (stack, _) = due(3).await;
    stack.cashfree.fail_next(Call::GetOrder, 1, Trouble::RateLimited);
    assert_eq!((run(&stack).await.count("ordersChecked"), asked(&stack)), (Some(0), 1));
    assert_eq!((run(&stack).await.count("ordersChecked"), asked(&stack)), (Some(3), 4));
}

#[tokio::test]
async fn while_the_cache_is_unavailable_the_provider_is_not_asked() {
    let (stack, _) = due(2).await;
    let error = sweep(&cut_off(&stack), AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("orders: cache: "), "{error}");
    assert_eq!((error.report.count("ordersChecked"), asked(&stack)), (Some(0), 0));
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(2));
}

#[tokio::test]
async fn where_nothing_is_sold_no_order_is_checked() {
    let (stack, _) = due(1).await;
    let deps = sweep::Deps { cashfree: None, ..process(&stack) };
    assert!(!sweep(&deps, AMPLE).await.unwrap().did_something());
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(1));
}

#[tokio::test]
async fn a_run_that_is_out_of_time_leaves_the_rest_to_the_next_one() {
    let (stack, _) = due_and_paid(6).await;
    // Each reading of the clock takes a second.
    let (now, looked) = (stack.clock.now(), AtomicU64::new(0));
    let slow =
        Clock::new(move || now + Duration::from_secs(looked.fetch_add(1, Ordering::Relaxed)));
    let report = sweep(&with_clock(&stack, vault(&[A]), slow), Duration::from_secs(30)).await;
    let report = report.unwrap();
    let done = report.count("ordersFulfilled").unwrap();
    assert!(report.out_of_time && (1..6).contains(&done), "{report:?}");
    stack.clock.advance(Duration::from_mins(1));
    assert_eq!(run(&stack).await.count("ordersFulfilled"), Some(6 - done));
}

#[tokio::test]
async fn refused_credentials_are_counted_and_other_work_goes_on() {
    let (stack, orders) = due(2).await;
    bring_keys(&stack, &vault(&[A]), 1).await;
    let deps = deps(&stack, vault(&[B, A]));
    stack.cashfree.set_client_secret("another");
    let error = sweep(&deps, AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("orders: Cashfree refuses the account"), "{error}");
    let counts = counted(&error.report, ["paymentsMisconfigured", "keysRotated", "ordersStuck"]);
    assert_eq!(counts, [Some(1), Some(1), Some(0)]);
    assert_eq!((asked(&stack), orders.len()), (1, 2));
}

#[tokio::test]
async fn an_order_that_fails_each_time_does_not_block_those_behind_it() {
    let (stack, orders) = due_and_paid(4).await;
    // The first in the queue.
    let first = orders.iter().min().unwrap();
    reject_payments(&stack, *first).await;
    let error = failing_run(&stack).await;
    assert!(error.to_string().starts_with("orders: postgres: "), "{error}");
    let counts = ["ordersChecked", "ordersFulfilled", "ordersStuck"];
    assert_eq!(counted(&error.report, counts), [Some(4), Some(3), Some(0)]);
    // It is asked about again after ten minutes.
    accept_payments(&stack).await;
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(0));
    stack.clock.advance(Duration::from_mins(10));
    assert_eq!(counted(&run(&stack).await, counts), [Some(1), Some(1), Some(0)]);
    assert_eq!(count(&stack, GIVEN).await, 4);
}

#[tokio::test]
async fn an_order_for_which_the_provider_fails_each_time_does_not_block_those_behind_it() {
    let counts = ["ordersChecked", "ordersFulfilled"];
    for (call, trouble) in [
        (Call::GetOrder, Trouble::MalformedJson),
        (Call::GetOrder, Trouble::InternalError(When::Before)),
        (Call::GetPayments, Trouble::MalformedJson),
    ] {
        let (stack, _) = due_and_paid(4).await;
        stack.cashfree.fail_next(call, 1, trouble);
        let error = failing_run(&stack).await;
        assert!(error.to_string().starts_with("orders: Cashfree gave no usable answer"), "{error}");
        assert_eq!(counted(&error.report, counts), [Some(4), Some(3)], "{trouble:?}");
        stack.clock.advance(Duration::from_mins(10));
        assert_eq!(counted(&run(&stack).await, counts), [Some(1), Some(1)], "{trouble:?}");
    }
}

#[tokio::test]
async fn a_provider_that_fails_for_each_order_is_given_up_and_each_order_has_its_turn() {
    let (stack, _) = due_and_paid(7).await;
    stack.cashfree.fail_next(Call::GetOrder, usize::MAX, Trouble::BadGateway(When::Before));
    for asked_for in [3, 6] {
        failing_run(&stack).await;
        assert_eq!(asked(&stack), asked_for);
    }
    // No answer at all is slow, and one is enough.
    stack.cashfree.recover();
    stack.cashfree.fail_next(Call::GetOrder, 1, Trouble::Closed(When::Before));
    failing_run(&stack).await;
    assert_eq!(asked(&stack), 7);
    stack.clock.advance(Duration::from_mins(10));
    assert_eq!(run(&stack).await.count("ordersFulfilled"), Some(7));
}
