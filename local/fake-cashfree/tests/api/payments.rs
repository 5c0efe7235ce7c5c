//! Attempts to pay, and what they make of an order.

use fake_cashfree::{Attempt, OrderStatus, PayError, PaymentStatus};
use serde_json::{Value, json};

use crate::client::{created, get, held, terminate};

#[tokio::test]
async fn a_failed_attempt_can_be_followed_by_a_success() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    for attempt in [Attempt::failure(), Attempt::user_dropped()] {
        fake.pay("order_1", attempt).unwrap();
        assert_eq!(fake.order("order_1").unwrap().status, OrderStatus::Active);
    }
    let paid = fake.pay("order_1", Attempt::success()).unwrap();
    assert_eq!(get(&fake, "/orders/order_1").await.json()["order_status"], "PAID");
    let payments = get(&fake, "/orders/order_1/payments").await.json();
    let statuses: Vec<_> =
        payments.as_array().unwrap().iter().map(|one| &one["payment_status"]).collect();
    assert_eq!(statuses, ["SUCCESS", "USER_DROPPED", "FAILED"]);
    assert_eq!(payments[2]["error_details"]["error_code"], "GATEWAY_ERROR");
    assert_eq!(payments[0]["cf_payment_id"], *paid);
    let one = get(&fake, &format!("/orders/order_1/payments/{paid}")).await.json();
    assert_eq!(one, payments[0]);
    assert_eq!((&one["entity"], &one["is_captured"]), (&json!("payment"), &json!(true)));
    assert_eq!((&one["order_amount"], &one["payment_amount"]), (&json!(450), &json!(450)));
    assert_eq!(one["payment_completion_time"], "2026-11-23T00:30:00+05:30");
}

#[tokio::test]
async fn a_second_success_is_refunded() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    fake.pay("order_1", Attempt::success()).unwrap();
    assert_eq!(
        fake.pay("order_1", Attempt::success()),
        Err(PayError::NotActive(OrderStatus::Paid))
    );
    let second = fake.pay("order_1", Attempt::success().began_earlier()).unwrap();
    let order = fake.order("order_1").unwrap();
    let refunded: Vec<_> = order.payments.iter().map(|payment| payment.is_refunded).collect();
    assert_eq!((order.status, refunded), (OrderStatus::Paid, vec![false, true]));
    let events: Vec<_> = fake.deliveries().iter().map(|delivery| delivery.event).collect();
    assert_eq!(
        events,
        ["PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_SUCCESS_WEBHOOK", "AUTO_REFUND_STATUS_WEBHOOK"]
    );
    let body: Value = serde_json::from_slice(&fake.deliveries()[2].body).unwrap();
    let refund = &body["data"]["auto_refund"];
    assert_eq!(refund["refund_reason"], "Multiple payments were performed against same order.");
    assert_eq!((&refund["cf_payment_id"], &refund["refund_amount"]), (&json!(second), &json!(450)));
}

#[tokio::test]
async fn an_attempt_that_began_before_the_end_of_an_order_still_pays_it() {
    let (fake, _) = held().await;
    for id in ["order_1", "order_2", "order_3"] {
        created(&fake, id).await;
    }
    let pending = fake.pay("order_1", Attempt::pending()).unwrap();
    fake.expire("order_1");
    fake.expire("order_2");
    terminate(&fake, "order_3").await;
    for (id, status) in [("order_2", OrderStatus::Expired), ("order_3", OrderStatus::Terminated)] {
        assert_eq!(fake.pay(id, Attempt::success()), Err(PayError::NotActive(status)));
        fake.pay(id, Attempt::success().began_earlier()).unwrap();
    }
    assert!(fake.deliveries().iter().all(|delivery| delivery.order_id != "order_1"));
    fake.settle(&pending).unwrap();
    assert_eq!(fake.settle(&pending), Err(PayError::NotPending));
    assert!(fake.orders().iter().all(|order| order.status == OrderStatus::Paid));
    assert_eq!(fake.pay("order_4", Attempt::success()), Err(PayError::UnknownOrder));
}

#[tokio::test]
async fn a_late_authorisation_is_a_success_webhook_that_says_pending() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    let payment = fake.pay("order_1", Attempt::late_authorisation()).unwrap();
    assert_eq!(fake.order("order_1").unwrap().status, OrderStatus::Active);
    fake.settle(&payment).unwrap();
    assert_eq!(fake.order("order_1").unwrap().payments[0].status, PaymentStatus::Success);
    for (delivery, status) in fake.deliveries().iter().zip(["PENDING", "SUCCESS"]) {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(delivery.event, "PAYMENT_SUCCESS_WEBHOOK");
        assert_eq!(body["data"]["payment"]["payment_status"], status);
        assert_eq!(body["data"]["payment"]["cf_payment_id"], *payment);
    }
    assert_eq!(fake.deliveries().len(), 2);
}

#[tokio::test]
async fn an_offer_and_a_tampered_amount_are_in_the_webhook_and_the_payment() {
    let (fake, _) = held().await;
    for (id, attempt, amount, currency, paid) in [
        ("order_1", Attempt::success().offer("400.50"), "450.00", "INR", "400.50"),
        ("order_2", Attempt::success().order_amount("1"), "1", "INR", "450.00"),
        ("order_3", Attempt::success().order_amount("450.001"), "450.001", "INR", "450.00"),
        ("order_4", Attempt::success().order_amount("\"450.00\""), "\"450.00\"", "INR", "450.00"),
        ("order_5", Attempt::success().order_currency("USD"), "450.00", "USD", "450.00"),
    ] {
        created(&fake, id).await;
        fake.pay(id, attempt).unwrap();
        let body = fake.deliveries().pop().unwrap().body;
        let payments = get(&fake, &format!("/orders/{id}/payments")).await.text;
        let body = str::from_utf8(&body).unwrap();
        assert!(body.contains(&format!("\"order_amount\":{amount},")), "{body}");
        assert!(body.contains(&format!("\"payment_amount\":{paid},")), "{body}");
        for text in [body, &payments] {
            assert!(text.contains(&format!("\"order_currency\":\"{currency}\"")), "{text}");
        }
        let short = amount.trim_end_matches(".00");
        assert!(payments.contains(&format!("\"order_amount\":{short},")), "{payments}");
        assert_eq!(body.contains("discount_amount\":49.5"), id == "order_1");
        assert_eq!(fake.order(id).unwrap().amount_paise, 45_000);
    }
}
