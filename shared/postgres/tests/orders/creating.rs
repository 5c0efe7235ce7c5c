//! One open order of a user and a plan, whatever comes at once; and the limits.

use std::time::Duration;

use futures_util::future::join_all;
use shared_core::billing::{OrderId, OrderState, Paise};
use shared_core::page::PageRequest;
use shared_postgres::{CreateOrderError, OrderOrigin};
use testkit::TestStack;

use crate::setup::{Wanted, count, create, days, fulfil, ordered, paid, periods, state, wanted};

#[tokio::test]
async fn an_order_keeps_its_figures_and_says_when_its_period_would_begin() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let (origin, stored) = create(&stack, &ada, &wanted("premium")).await.unwrap();
    let now = stack.clock.now();
    let order = &stored.order;
    assert_eq!((origin, order.state), (OrderOrigin::New, OrderState::Created));
    assert_eq!(order.offer, wanted("premium").offer);
    assert_eq!((order.created_at, order.starts_at, order.paid_at), (now, Some(now), None));

    // Who buys ahead gets the time after what is paid.
    fulfil(&stack, &paid(order.id, "1")).await;
    let (_, ahead) = create(&stack, &ada, &wanted("premium")).await.unwrap();
    assert_eq!(ahead.order.starts_at, Some(now + days(30)));
    assert_eq!(ahead.payer, stored.payer);
}

#[tokio::test]
async fn ten_requests_at_once_make_one_order() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let plan = wanted("premium");
    let made = join_all((0..10).map(|_| create(&stack, &ada, &plan))).await;
    let made: Vec<_> = made.into_iter().map(Result::unwrap).collect();
    let new = made.iter().filter(|(origin, _)| *origin == OrderOrigin::New).count();
    let open = made.iter().filter(|(origin, _)| *origin == OrderOrigin::Open).count();
    assert_eq!((new, open), (1, 9));
    assert!(made.iter().all(|(_, stored)| stored.order.id == made[0].1.order.id));
    assert_eq!(count(&stack, "select count(*) from orders").await, 1);
    assert_eq!(count(&stack, "select count(*) from billing_contacts").await, 1);
}

#[tokio::test]
async fn another_plan_or_another_user_gets_an_order_of_its_own() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let first = ordered(&stack, &ada, "premium").await;
    let others = [ordered(&stack, &ada, "gold").await, ordered(&stack, &eve, "premium").await];
    assert!(!others.contains(&first) && others[0] != others[1]);
}

#[tokio::test]
async fn an_idempotency_key_finds_its_order_in_any_state() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let keyed = Wanted { key: Some("click-1"), ..wanted("premium") };
    let (_, first) = create(&stack, &ada, &keyed).await.unwrap();
    fulfil(&stack, &paid(first.order.id, "1")).await;
    let (origin, again) = create(&stack, &ada, &keyed).await.unwrap();
    assert_eq!((origin, again.order.id), (OrderOrigin::Known, first.order.id));
    assert_eq!(again.order.state, OrderState::Paid);
    // Another user may use the same key.
    let eve = stack.session("eve@example.com").await;
    assert_eq!(create(&stack, &eve, &keyed).await.unwrap().0, OrderOrigin::New);
}

#[tokio::test]
async fn an_order_is_replaced_by_one_with_other_figures_once() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let old = ordered(&stack, &ada, "premium").await;
    let mut dearer = wanted("premium");
    dearer.offer.price = Paise::new(50_000);
    dearer.replaces = Some(old);
    let made = join_all((0..5).map(|_| create(&stack, &ada, &dearer))).await;
    let made: Vec<_> = made.into_iter().map(Result::unwrap).collect();
    assert_eq!(made.iter().filter(|(origin, _)| *origin == OrderOrigin::New).count(), 1);
    assert!(made.iter().all(|(_, stored)| stored.order.offer.price == Paise::new(50_000)));
    assert_eq!(state(&stack, &ada, old).await, "terminated");
    assert_eq!(count(&stack, "select count(*) from orders").await, 2);
}

#[tokio::test]
async fn only_the_open_order_itself_can_be_replaced() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let eves = ordered(&stack, &eve, "premium").await;
    let paid_for = ordered(&stack, &ada, "premium").await;
    fulfil(&stack, &paid(paid_for, "1")).await;
    for replaces in [eves, OrderId(uuid::Uuid::nil())] {
        let (_, made) =
            create(&stack, &ada, &Wanted { replaces: Some(replaces), ..wanted("premium") })
                .await
                .unwrap();
        assert_ne!(made.order.id, replaces);
    }
    assert_eq!(state(&stack, &eve, eves).await, "created");
    assert_eq!(state(&stack, &ada, paid_for).await, "paid");
}

#[tokio::test]
async fn there_are_ten_orders_an_hour_and_thirty_a_day() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let mut last = None;
    let mut made = 0;
    let began = stack.clock.now();
    for hour in 0..3 {
        stack.clock.set(began + Duration::from_mins(61 * hour));
        for _ in 0..10 {
            let replacing = Wanted { replaces: last, ..wanted("premium") };
            last = Some(create(&stack, &ada, &replacing).await.unwrap().1.order.id);
            made += 1;
        }
        let refused = create(&stack, &ada, &Wanted { replaces: last, ..wanted("premium") }).await;
        let Err(CreateOrderError::TooMany(reached)) = refused else { panic!("{refused:?}") };
        let expected = if hour < 2 { (10, 3600) } else { (30, 86_400 - 2 * 61 * 60) };
        assert_eq!((reached.limit.count, reached.retry_after.as_secs()), expected, "{hour}");
        // A refusal replaces nothing, and the open order is still returned.
        let (origin, open) = create(&stack, &ada, &wanted("premium")).await.unwrap();
        assert_eq!((origin, Some(open.order.id)), (OrderOrigin::Open, last));
    }
    assert_eq!(count(&stack, "select count(*) from orders").await, made);
    // Others are not affected, and time passes.
    let eve = stack.session("eve@example.com").await;
    assert!(create(&stack, &eve, &wanted("premium")).await.is_ok());
    stack.clock.set(began + Duration::from_hours(24));
    let replacing = Wanted { replaces: last, ..wanted("premium") };
    assert!(create(&stack, &ada, &replacing).await.is_ok());
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_only_to_their_owner() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let mut made = Vec::new();
    for plan in ["premium", "gold", "silver"] {
        stack.clock.advance(Duration::from_secs(1));
        made.insert(0, ordered(&stack, &ada, plan).await);
    }
    fulfil(&stack, &paid(made[0], "1")).await;
    let database = stack.database();
    let request = database.request(&ada, stack.clock.now());
    let first = request.orders(&PageRequest { after: None, limit: 2 }).await.unwrap();
    let rest = request.orders(&PageRequest { after: first.next.clone(), limit: 2 }).await.unwrap();
    let listed: Vec<_> = first.items.iter().chain(&rest.items).map(|order| order.id).collect();
    assert_eq!((listed, rest.next), (made.clone(), None));
    let starts = periods(&stack, &ada).await[0].0;
    assert_eq!(first.items[0].starts_at, Some(starts));
    assert_eq!(first.items[1].starts_at, Some(starts + days(30)));

    let eves = database.request(&eve, stack.clock.now());
    let page = eves.orders(&PageRequest { after: None, limit: 20 }).await.unwrap();
    assert_eq!(page.items, []);
    assert_eq!(eves.order(made[0]).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_order_needs_a_phone_number_and_an_open_one_does_not() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let without = Wanted { has_phone: false, ..wanted("premium") };
    let refused = create(&stack, &ada, &without).await;
    assert!(matches!(refused, Err(CreateOrderError::PhoneNeeded)), "{refused:?}");
    assert_eq!(count(&stack, "select count(*) from billing_contacts").await, 0);

    let order = ordered(&stack, &ada, "premium").await;
    assert_eq!(create(&stack, &ada, &without).await.unwrap().1.order.id, order);
    let gold = Wanted { has_phone: false, ..wanted("gold") };
    assert!(create(&stack, &ada, &gold).await.is_err());
    let database = stack.database();
    database.request(&ada, stack.clock.now()).remember_phone(Some(b"encrypted")).await.unwrap();
    assert!(create(&stack, &ada, &gold).await.is_ok());
}

#[tokio::test]
async fn an_idempotency_key_is_free_again_when_its_order_is_over_or_replaced() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let keyed = Wanted { key: Some("click-1"), ..wanted("premium") };
    let (_, first) = create(&stack, &ada, &keyed).await.unwrap();
    stack.payments().close_order(first.order.id, OrderState::Expired).await.unwrap();
    let (origin, second) = create(&stack, &ada, &keyed).await.unwrap();
    assert_eq!(origin, OrderOrigin::New);
    let replacing = Wanted { replaces: Some(second.order.id), ..keyed.clone() };
    let (origin, third) = create(&stack, &ada, &replacing).await.unwrap();
    assert_eq!(origin, OrderOrigin::New);
    let (origin, again) = create(&stack, &ada, &keyed).await.unwrap();
    assert_eq!((origin, again.order.id), (OrderOrigin::Known, third.order.id));
}

#[tokio::test]
async fn an_order_that_was_paid_while_it_was_to_be_replaced_is_returned() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let order = ordered(&stack, &ada, "premium").await;
    fulfil(&stack, &paid(order, "1")).await;
    let replacing = Wanted { replaces: Some(order), ..wanted("premium") };
    let (origin, paid) = create(&stack, &ada, &replacing).await.unwrap();
    assert_eq!((origin, paid.order.id), (OrderOrigin::Open, order));
    // Another user's is not.
    let eve = stack.session("eve@example.com").await;
    assert_eq!(create(&stack, &eve, &replacing).await.unwrap().0, OrderOrigin::New);
}
