//! Outages of each backend.

use testkit::TestStack;

use crate::api::setup::{PATH, User, checkout, count, expect, order_state, pay, refused};

#[tokio::test]
async fn without_postgres_every_private_route_answers_503_with_retry_after() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    let asked = stack.cashfree.requests().len();
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let ada = ada.again(&stack);
    for answer in [ada.order().await, ada.show(&id).await, ada.client.get(PATH).await] {
        assert_eq!(answer.refusal(), refused(503, "unavailable"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    assert_eq!(stack.cashfree.requests().len(), asked);
    expect(200, ada.client.get("/api/plans").await);
}

#[tokio::test]
async fn without_the_cache_everything_works() {
    let mut stack = TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    pay(&stack, &id);
    assert_eq!(order_state(&expect(200, ada.show(&id).await)), "paid");
    assert_eq!(ada.state(&id).await, "paid");
    assert_eq!(ada.periods(&stack).await.len(), 1);
}

#[tokio::test]
async fn without_the_provider_orders_are_shown_as_they_are_stored_and_none_is_lost() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    pay(&stack, &id);
    let url = stack.cashfree.base_url();
    stack.set("CASHFREE_BASE_URL", "http://127.0.0.1:1/pg");
    let (away, eve) = (ada.again(&stack), User::new(&stack, "eve").await);
    let shown = expect(200, away.show(&id).await);
    assert_eq!((order_state(&shown).as_str(), shown.header("retry-after")), ("active", Some("2")));
    assert_eq!(shown.json()["checkout"], checkout(&stack, &id));
    // Its checkout may still open: a second payment of the same order would be refunded.
    assert_eq!(expect(200, away.order().await).json(), shown.json());
    let refusal = eve.order().await;
    assert_eq!(refusal.refusal(), refused(503, "payments_unavailable"));
    assert_eq!(refusal.header("retry-after"), Some("5"));

    stack.set("CASHFREE_BASE_URL", url);
    stack.clock.advance(std::time::Duration::from_secs(3));
    assert_eq!(order_state(&expect(200, ada.show(&id).await)), "paid");
    expect(200, eve.again(&stack).order().await);
    assert_eq!(count(&stack, "select count(*) from orders").await, 2);
}

#[tokio::test]
async fn an_order_whose_payment_cannot_be_recorded_stays_open_until_it_can() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.ordered().await;
    pay(&stack, &id);
    let url = stack.env().required("MONEY_DATABASE_URL").unwrap();
    stack.set("MONEY_DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let shown = expect(200, ada.again(&stack).show(&id).await);
    assert_eq!((order_state(&shown).as_str(), shown.header("retry-after")), ("active", Some("2")));
    stack.set("MONEY_DATABASE_URL", url);
    stack.clock.advance(std::time::Duration::from_secs(3));
    assert_eq!(order_state(&expect(200, ada.again(&stack).show(&id).await)), "paid");
}
