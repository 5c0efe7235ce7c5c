//! Paid orders are compared with the payment provider's, and an order that it calls paid is not given up.

use std::time::Duration;

use fake_cashfree::{Attempt, Call, Trouble};
use shared_cashfree::Freshness::Fresh;

use crate::orders::{FORTNIGHT, asked_at};
use crate::payments::{
    GIVEN, as_owner, counted, created, ordered, paid_and_waits, run, shop, state,
};
use crate::setup::count;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_paid_order_is_compared_daily_for_seven_days() {
    let (stack, ada) = shop().await;
    paid_and_waits(&stack, ordered(&stack, &ada, "premium").await, Fresh).await;
    assert_eq!(run(&stack).await.count("ordersFulfilled"), Some(1));
    let days: Vec<_> = (1..=7).map(|day| day * 24 * 60).collect();
    assert_eq!(asked_at(&stack, &FORTNIGHT).await, days);
    assert_eq!(stack.cashfree.calls(Call::GetPayments), 0);
    assert_eq!(run(&stack).await.count("paymentMismatches"), Some(0));
}

#[tokio::test]
async fn a_paid_order_of_which_the_provider_says_something_else_rings() {
    let (stack, ada) = shop().await;
    let cheaper = ordered(&stack, &ada, "premium").await;
    paid_and_waits(&stack, cheaper, Fresh).await;
    // A signed payment of an order that the provider does not know, and of one that it does not call paid.
    let (unknown, unpaid) =
        (created(&stack, &ada, "gold").await, ordered(&stack, &ada, "silver").await);
    for order in [unknown, unpaid] {
        let attempt = shared_core::billing::PaymentAttempt {
            payment: order.to_string(),
            order: order.to_string(),
            status: "SUCCESS".to_owned(),
            order_amount: "450".to_owned(),
            currency: "INR".to_owned(),
            amount: None,
            at: None,
        };
        stack.payments().fulfil(&attempt, stack.clock.now()).await.unwrap();
    }
    paid_and_waits(&stack, ordered(&stack, &ada, "bronze").await, Fresh).await;
    assert_eq!(run(&stack).await.count("paymentMismatches"), Some(0));
    as_owner(&stack, &format!("update orders set price_paise = 44999 where id = '{cheaper}'"))
        .await;

    for _ in 0..2 {
        stack.clock.advance(DAY);
        let report = run(&stack).await;
        assert_eq!(counted(&report, ["ordersChecked", "paymentMismatches"]), [Some(4), Some(3)]);
    }
    assert_eq!(count(&stack, GIVEN).await, 4);
}

#[tokio::test]
async fn a_paid_order_without_a_listed_payment_is_asked_about_again_after_ten_minutes() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    stack.cashfree.pay(&order.to_string(), Attempt::success()).unwrap();
    stack.cashfree.fail_next(Call::GetPayments, 2, Trouble::NoPayments);
    for (passes, checked, fulfilled) in [(10, 1, 0), (9, 0, 0), (1, 1, 0), (10, 1, 1)] {
        stack.clock.advance(Duration::from_mins(passes));
        let report = run(&stack).await;
        let counts = counted(&report, ["ordersChecked", "ordersFulfilled"]);
        assert_eq!(counts, [Some(checked), Some(fulfilled)]);
    }
    assert_eq!(state(&stack, order).await, "paid");
}

#[tokio::test]
async fn an_order_that_the_provider_calls_paid_is_stuck_after_a_day_until_it_is_fulfilled() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    stack.cashfree.pay(&order.to_string(), Attempt::success()).unwrap();
    stack.cashfree.fail_next(Call::GetPayments, usize::MAX, Trouble::NoPayments);
    // Also after the week in which unpaid orders are asked about.
    for (passes, stuck) in [(DAY, 0), (Duration::from_secs(1), 1), (DAY, 1), (DAY * 7, 1)] {
        stack.clock.advance(passes);
        assert_eq!(run(&stack).await.count("ordersStuck"), Some(stuck));
    }
    stack.cashfree.recover();
    stack.clock.advance(Duration::from_mins(10));
    let report = run(&stack).await;
    assert_eq!(counted(&report, ["ordersFulfilled", "ordersStuck"]), [Some(1), Some(0)]);
}

#[tokio::test]
async fn a_payment_of_a_wrong_amount_rings_at_each_check_and_is_not_stuck() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    stack.cashfree.pay(&order.to_string(), Attempt::success().order_amount("450.001")).unwrap();
    for passes in [Duration::from_mins(10), DAY] {
        stack.clock.advance(passes);
        let report = run(&stack).await;
        let counts = counted(&report, ["paymentMismatches", "ordersStuck"]);
        assert_eq!(counts, [Some(1), Some(0)]);
    }
    assert_eq!((count(&stack, GIVEN).await, state(&stack, order).await), (0, "active".to_owned()));
}
