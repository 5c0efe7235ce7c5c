//! Payments that are reported just after they were made.

use std::time::Duration;

use fake_cashfree::{Attempt, WebhookVersion};
use shared_core::billing::OrderState;
use testkit::PHONE;

use crate::api::setup::{Shop, attempt_to_pay, done, ends, last_delivery, waiting};

const NINETY_DAYS: i64 = 90 * 24 * 60 * 60;

#[tokio::test]
async fn a_paid_order_is_fulfilled_at_once_and_a_stub_without_personal_data_is_left() {
    let shop = Shop::open().await;
    let delivery = shop.paid();
    assert!(String::from_utf8_lossy(&delivery.body).contains(PHONE));
    shop.accepts(&delivery).await;

    let (database, now) = (shop.stack.database(), shop.stack.clock.now());
    let stored = database.request(&shop.ada, now).order(shop.order).await.unwrap().unwrap();
    assert_eq!((stored.order.state, stored.order.paid_at), (OrderState::Paid, Some(now)));
    assert_eq!(stored.order.starts_at, Some(now));
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;

    assert!(waiting(&shop.stack).await.is_empty());
    let [stub] = done(&shop.stack).await.try_into().unwrap();
    let payment = &shop.stack.cashfree.order(&shop.order.to_string()).unwrap().payments[0].id;
    assert_eq!(stub.id, format!("PAYMENT_SUCCESS_WEBHOOK#{payment}#SUCCESS"));
    assert_eq!(stub.ended.as_deref(), Some("fulfilled"));
    assert_eq!(stub.ttl, Some(now.as_second() + NINETY_DAYS));
    assert_eq!(stub.body, None);
}

#[tokio::test]
async fn webhooks_of_every_version_known_or_not_are_understood() {
    for (version, header) in [
        (WebhookVersion::V2022_09_01, "2022-09-01"),
        (WebhookVersion::V2023_08_01, "2023-08-01"),
        (WebhookVersion::V2025_01_01, "2025-01-01"),
        (WebhookVersion::V2026_01_01, "2026-01-01"),
        (WebhookVersion::V2026_01_01, "2031-12-31"),
        (WebhookVersion::V2022_09_01, "?"),
    ] {
        let shop = Shop::open().await;
        shop.stack.cashfree.sending(|sending| sending.version = version);
        let mut delivery = shop.paid();
        delivery.set_header("x-webhook-version", header);
        shop.accepts(&delivery).await;
        shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    }
}

#[tokio::test]
async fn a_failed_attempt_can_be_followed_by_a_success() {
    for (attempt, status) in [
        (Attempt::failure(), "FAILED unpaid"),
        (Attempt::user_dropped(), "USER_DROPPED unpaid"),
        // A success by its event's name.
        (Attempt::late_authorisation(), "PENDING unpaid"),
    ] {
        let shop = Shop::open().await;
        shop.accepts(&shop.attempt(attempt)).await;
        shop.assert_books("active", status, 0).await;
        shop.accepts(&shop.paid()).await;
        shop.assert_books("paid", &format!("{status}, SUCCESS fulfilled"), 1).await;
        assert_eq!(ends(&shop.stack).await.len(), 2);
    }
}

#[tokio::test]
async fn a_pending_payment_counts_once_it_has_succeeded() {
    let shop = Shop::open().await;
    let pending = shop.attempt(Attempt::late_authorisation());
    assert_eq!(pending.event, "PAYMENT_SUCCESS_WEBHOOK");
    shop.accepts(&pending).await;
    shop.assert_books("active", "PENDING unpaid", 0).await;

    let payment =
        shop.stack.cashfree.order(&shop.order.to_string()).unwrap().payments[0].id.clone();
    shop.stack.cashfree.settle(&payment).unwrap();
    shop.accepts(&last_delivery(&shop.stack)).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    // The earlier status again, late.
    shop.accepts(&pending).await;
    shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
}

#[tokio::test]
async fn an_order_that_has_expired_or_was_terminated_can_still_be_paid() {
    for state in [OrderState::Expired, OrderState::Terminated] {
        let shop = Shop::open().await;
        if state == OrderState::Expired {
            shop.stack.clock.advance(Duration::from_mins(31));
        } else {
            let cashfree = shop.stack.cashfree_client().unwrap();
            cashfree.terminate(shop.order).await.unwrap();
        }
        shop.stack.payments().close_order(shop.order, state).await.unwrap();
        shop.assert_books(state.as_str(), "", 0).await;
        shop.accepts(&shop.attempt(Attempt::success().began_earlier())).await;
        shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    }
}

#[tokio::test]
async fn a_second_payment_is_recorded_and_gives_nothing() {
    let shop = Shop::open().await;
    shop.accepts(&shop.paid()).await;
    shop.attempt(Attempt::success().began_earlier());
    let deliveries = shop.stack.cashfree.deliveries();
    let [_, second, refund] = deliveries.as_slice() else { panic!("{deliveries:?}") };
    shop.accepts(second).await;
    shop.assert_books("paid", "SUCCESS fulfilled, SUCCESS second_payment", 1).await;
    // The provider refunds it by itself.
    shop.accepts(refund).await;
    shop.assert_books("paid", "SUCCESS fulfilled, SUCCESS second_payment", 1).await;
    assert_eq!(ends(&shop.stack).await, ["refund", "fulfilled", "second_payment"]);
}

#[tokio::test]
async fn an_amount_or_a_currency_that_is_not_the_orders_is_recorded_and_gives_nothing() {
    for attempt in [
        Attempt::success().order_amount("1"),
        Attempt::success().order_amount("450.001"),
        Attempt::success().order_amount("\"449.995\""),
        Attempt::success().order_amount("4.5e2"),
        Attempt::success().order_currency("USD"),
    ] {
        let shop = Shop::open().await;
        shop.accepts(&shop.attempt(attempt.clone())).await;
        shop.assert_books("active", "SUCCESS mismatch", 0).await;
        assert_eq!(ends(&shop.stack).await, ["mismatch"], "{attempt:?}");
    }
    // What counts is the order's amount, in any notation, and not what was paid after a discount.
    for attempt in [
        Attempt::success().order_amount("450"),
        Attempt::success().order_amount("\"450.0\""),
        Attempt::success().offer("1"),
    ] {
        let shop = Shop::open().await;
        shop.accepts(&shop.attempt(attempt)).await;
        shop.assert_books("paid", "SUCCESS fulfilled", 1).await;
    }
}

#[tokio::test]
async fn a_payment_of_another_deployments_order_is_kept_as_unknown() {
    let shop = Shop::open().await;
    let foreign = shop.stack.foreign_order().await;
    shop.accepts(&attempt_to_pay(&shop.stack, foreign, Attempt::success())).await;
    shop.assert_books("active", "", 0).await;
    assert_eq!(ends(&shop.stack).await, ["unknown_order"]);
    assert!(waiting(&shop.stack).await.is_empty());
}

#[tokio::test]
async fn a_payment_of_a_deleted_account_is_recorded_and_gives_nothing() {
    let shop = Shop::open().await;
    let delivery = shop.paid();
    shop.stack.owner().await.batch_execute("delete from users").await.unwrap();
    shop.accepts(&delivery).await;
    shop.assert_books("active", "SUCCESS user_gone", 0).await;
    assert_eq!(ends(&shop.stack).await, ["user_gone"]);
}
