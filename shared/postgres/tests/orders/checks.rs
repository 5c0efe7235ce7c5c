//! When the provider is asked about an order, and what is noted of its answer.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use shared_core::billing::OrderState;
use testkit::TestStack;

use crate::setup::{fulfil, ordered, paid, state};

const PAUSE: SignedDuration = SignedDuration::from_secs(3);

#[tokio::test]
async fn of_requests_at_once_one_asks_the_provider_and_the_next_after_a_pause() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    let database = stack.database();
    let claims = async || {
        let now = stack.clock.now();
        let claims = (0..10)
            .map(async |_| database.request(&ada, now).claim_order_check(order, PAUSE).await);
        join_all(claims).await.into_iter().filter(|claimed| *claimed.as_ref().unwrap()).count()
    };
    assert_eq!(claims().await, 1);
    stack.clock.advance(Duration::from_millis(2999));
    assert_eq!(claims().await, 0);
    stack.clock.advance(Duration::from_millis(1));
    assert_eq!(claims().await, 1);
    // Nobody asks about a closed order.
    fulfil(&stack, &paid(order, "1")).await;
    stack.clock.advance(Duration::from_mins(1));
    assert_eq!(claims().await, 0);
}

#[tokio::test]
async fn an_order_is_activated_while_it_is_open_and_closed_once() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    let database = stack.database();
    let request = database.request(&ada, stack.clock.now());
    request.activate_order(order, b"sealed").await.unwrap();
    let stored = request.order(order).await.unwrap().unwrap();
    assert_eq!(stored.order.state, OrderState::Active);
    assert_eq!(stored.payment_session.as_deref(), Some(&b"sealed"[..]));

    request.close_order(order, OrderState::Terminated).await.unwrap();
    request.activate_order(order, b"late").await.unwrap();
    request.close_order(order, OrderState::Expired).await.unwrap();
    assert_eq!(state(&stack, &ada, order).await, "terminated");
    fulfil(&stack, &paid(order, "1")).await;
    request.close_order(order, OrderState::Expired).await.unwrap();
    assert_eq!(state(&stack, &ada, order).await, "paid");
    assert_eq!(request.order(order).await.unwrap().unwrap().payment_session, None);
}

#[tokio::test]
async fn an_order_is_due_ten_minutes_after_it_was_made_and_a_paid_one_a_day_after() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    let payments = stack.payments();
    let due =
        async || payments.orders_to_check("sandbox", stack.clock.now(), None, 10).await.unwrap();
    stack.clock.advance(Duration::from_secs(599));
    assert_eq!(due().await, []);
    stack.clock.advance(Duration::from_secs(1));
    assert_eq!(due().await[0].id, order);

    fulfil(&stack, &paid(order, "1")).await;
    assert_eq!(due().await, []);
    stack.clock.advance(Duration::from_hours(24));
    assert_eq!(due().await[0].state, OrderState::Paid);
    let was = due().await[0].check_at;
    payments.schedule_check(order, was, None).await.unwrap();
    payments.schedule_check(order, was, Some(was)).await.unwrap();
    assert_eq!(due().await, []);
}

#[tokio::test]
async fn an_order_that_the_provider_calls_paid_is_stuck_after_a_day_until_it_is_fulfilled() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    let payments = stack.payments();
    payments.note_reported_paid(order, stack.clock.now()).await.unwrap();
    let stuck = async || payments.stuck_orders(stack.clock.now()).await.unwrap().count;
    assert_eq!(stuck().await, 0);
    stack.clock.advance(Duration::from_hours(25));
    assert_eq!(stuck().await, 1);
    fulfil(&stack, &paid(order, "1")).await;
    assert_eq!(stuck().await, 0);
    // What comes late changes nothing.
    payments.note_reported_paid(order, stack.clock.now()).await.unwrap();
    assert_eq!(stuck().await, 0);
}
