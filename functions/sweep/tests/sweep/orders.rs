//! Orders whose webhooks were lost, or never came: the payment provider is asked about them.

use std::time::Duration;

use fake_cashfree::{Attempt, Call, OrderStatus, Trouble};
use shared_core::billing::{OrderId, OrderState};
use sweep::sweep;
use testkit::TestStack;

use crate::payments::{
    GIVEN, counted, created, made_there, ordered, ordered_by_many, process, run, shop, state,
};
use crate::setup::{AMPLE, count};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Runs after each pause, and returns the minutes, counted from now, of those runs that asked about an order.
pub(crate) async fn asked_at(stack: &TestStack, pauses: &[(usize, Duration)]) -> Vec<i64> {
    let (deps, began, mut asked) = (process(stack), stack.clock.now(), Vec::new());
    for (runs, pause) in pauses {
        for _ in 0..*runs {
            stack.clock.advance(*pause);
            let calls = stack.cashfree.calls(Call::GetOrder);
            sweep(&deps, AMPLE).await.unwrap();
            if stack.cashfree.calls(Call::GetOrder) > calls {
                asked.push(stack.clock.now().duration_since(began).as_mins());
            }
        }
    }
    asked
}

/// A fortnight: each minute at first, then each hour, then four times a day.
pub(crate) const FORTNIGHT: [(usize, Duration); 4] =
    [(12, MINUTE), (1, Duration::from_mins(48)), (29, HOUR), (52, Duration::from_hours(6))];

fn paid_there(stack: &TestStack, order: OrderId) {
    stack.cashfree.pay(&order.to_string(), Attempt::success()).unwrap();
}

#[tokio::test]
async fn an_unpaid_order_is_asked_about_ever_less_often_and_no_more_after_a_week() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    let days = (1..=7).map(|day| day * 24 * 60);
    let expected: Vec<_> = [10, 60, 360].into_iter().chain(days).collect();
    assert_eq!(asked_at(&stack, &FORTNIGHT).await, expected);
    assert_eq!(state(&stack, order).await, "expired");
}

#[tokio::test]
async fn an_order_whose_webhook_is_lost_is_fulfilled_ten_minutes_after_it_began() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    paid_there(&stack, order);
    stack.clock.advance(Duration::from_secs(599));
    assert!(!run(&stack).await.did_something());
    stack.clock.advance(Duration::from_secs(1));
    let report = run(&stack).await;
    assert_eq!(counted(&report, ["ordersChecked", "ordersFulfilled"]), [Some(1), Some(1)]);
    assert_eq!((count(&stack, GIVEN).await, state(&stack, order).await), (1, "paid".to_owned()));
    assert_eq!(stack.cashfree.requests().len(), 3, "created, asked, and asked for the payments");
    assert!(!run(&stack).await.did_something());
}

#[tokio::test]
async fn racing_runs_fulfil_each_order_once() {
    let (stack, _) = shop().await;
    for order in ordered_by_many(&stack, 8).await {
        paid_there(&stack, order);
    }
    for round in 0..3 {
        stack.clock.advance(Duration::from_mins(10));
        let (one, other) = (process(&stack), process(&stack));
        let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
        one.unwrap();
        other.unwrap();
        assert!(count(&stack, GIVEN).await <= 8, "{round}");
    }
    assert_eq!(count(&stack, GIVEN).await, 8);
    assert_eq!(count(&stack, "select count(*) from payments").await, 8);
}

#[tokio::test]
async fn what_has_become_of_an_unpaid_order_at_the_provider_is_noted() {
    let (stack, ada) = shop().await;
    let orders = [
        (ordered(&stack, &ada, "premium").await, "expired"),
        (ordered(&stack, &ada, "gold").await, "terminated"),
        (ordered(&stack, &ada, "silver").await, "terminated"),
        (ordered(&stack, &ada, "bronze").await, "active"),
    ];
    stack.cashfree.expire(&orders[0].0.to_string());
    // While an attempt is in progress, a termination is only requested.
    stack.cashfree.pay(&orders[2].0.to_string(), Attempt::pending()).unwrap();
    let client = stack.cashfree_client().unwrap();
    client.terminate(orders[1].0).await.unwrap();
    client.terminate(orders[2].0).await.unwrap();
    stack.clock.advance(Duration::from_mins(10));
    assert_eq!(run(&stack).await.count("ordersChecked"), Some(4));
    for (order, expected) in orders {
        assert_eq!(state(&stack, order).await, expected);
    }
}

#[tokio::test]
async fn an_order_whose_termination_did_not_arrive_is_terminated_again() {
    let (stack, ada) = shop().await;
    let order = ordered(&stack, &ada, "premium").await;
    stack.payments().close_order(order, OrderState::Terminated).await.unwrap();
    // The first run asks, and may not terminate yet.
    stack.cashfree.fail_next(Call::TerminateOrder, 1, Trouble::RateLimited);
    for (runs, status) in [(1, OrderStatus::Active), (2, OrderStatus::Terminated)] {
        stack.clock.advance(Duration::from_mins(10));
        run(&stack).await;
        assert_eq!(stack.cashfree.order(&order.to_string()).unwrap().status, status);
        assert_eq!(stack.cashfree.calls(Call::TerminateOrder), runs);
    }
    assert_eq!(state(&stack, order).await, "terminated");
}

#[tokio::test]
async fn an_order_whose_creation_was_not_acknowledged_becomes_active() {
    let (stack, ada) = shop().await;
    let order = created(&stack, &ada, "premium").await;
    made_there(&stack, order).await;
    stack.clock.advance(Duration::from_mins(10));
    run(&stack).await;
    assert_eq!(state(&stack, order).await, "active");
}

#[tokio::test]
async fn an_order_that_the_provider_never_knew_expires_after_its_time() {
    let (stack, ada) = shop().await;
    let order = created(&stack, &ada, "premium").await;
    for (passes, expected) in [(10, "created"), (50, "expired")] {
        stack.clock.advance(Duration::from_mins(passes));
        assert_eq!(run(&stack).await.count("ordersChecked"), Some(1));
        assert_eq!(state(&stack, order).await, expected);
    }
}

#[tokio::test]
async fn an_expired_and_a_terminated_order_can_become_paid() {
    let (stack, ada) = shop().await;
    let (expired, terminated) =
        (ordered(&stack, &ada, "premium").await, ordered(&stack, &ada, "gold").await);
    stack.cashfree_client().unwrap().terminate(terminated).await.unwrap();
    stack.clock.advance(HOUR);
    run(&stack).await;
    assert_eq!(state(&stack, expired).await, "expired");
    assert_eq!(state(&stack, terminated).await, "terminated");

    // In the last hour of the week in which it is asked about.
    stack.clock.advance(DAY * 6 + HOUR * 22);
    run(&stack).await;
    for order in [expired, terminated] {
        stack.cashfree.pay(&order.to_string(), Attempt::success().began_earlier()).unwrap();
    }
    stack.clock.advance(HOUR);
    assert_eq!(run(&stack).await.count("ordersFulfilled"), Some(2));
    assert_eq!(count(&stack, "select count(*) from orders where state = 'paid'").await, 2);
    assert_eq!(count(&stack, GIVEN).await, 2);
}
