//! Deliveries that nobody has to process are kept, for people who look for them.

use serde_json::{Value, json};
use testkit::{PHONE, repository_file};

use crate::api::setup::{Post, Shop, assert_accepted, done, waiting};

/// A fixture's body.
fn fixture(name: &str) -> String {
    repository_file(format!("shared/cashfree/tests/fixtures/{name}.json"))
}

/// An event with data about the buyer, at several places.
fn event(kind: &str, data: &Value) -> String {
    let mut data = data.clone();
    data["customer_details"] =
        json!({ "customer_phone": PHONE, "customer_email": "ada@example.com" });
    json!({ "data": data, "event_time": "2026-11-22T20:31:04+05:30", "type": kind }).to_string()
}

fn dispute() -> String {
    let data = json!({
        "dispute": { "dispute_id": "433475257", "dispute_type": "CHARGEBACK",
                     "dispute_status": "CHARGEBACK_MERCHANT_LOST", "cf_dispute_remarks": PHONE },
        "order_details": { "order_id": "order_1", "cf_payment_id": 885_473_311, "order_amount": 450 },
    });
    event("DISPUTE_CLOSED", &data)
}

#[tokio::test]
async fn refunds_disputes_and_events_that_are_not_known_are_archived_without_the_buyer() {
    let settlement = json!({ "settlement": { "settlement_amount": 450.00, "customer_email": "ada@example.com" } });
    let incomplete =
        json!({ "order": { "order_id": "order_1" }, "payment": { "payment_status": "SUCCESS" } });
    for (body, why, id, keeps) in [
        (
            fixture("07-refund-status-success"),
            "refund",
            "REFUND_STATUS_WEBHOOK#11325632#SUCCESS",
            "refund_sampleorder0413",
        ),
        (
            fixture("08-auto-refund-status"),
            "refund",
            "AUTO_REFUND_STATUS_WEBHOOK#1243460973#SUCCESS",
            "PAYMENT_AUTO_REFUND",
        ),
        (dispute(), "dispute", "DISPUTE_CLOSED#433475257#CHARGEBACK_MERCHANT_LOST", "885473311"),
        (
            fixture("10-subscription-payment-success"),
            "unknown",
            "sha256#",
            "SUBSCRIPTION_PAYMENT_SUCCESS",
        ),
        (event("SETTLEMENT_SUCCESS", &settlement), "unknown", "sha256#", "settlement_amount"),
        (event("PAYMENT_SUCCESS_WEBHOOK", &incomplete), "unknown", "sha256#", "order_1"),
        (json!({ "no": "type" }).to_string(), "unknown", "sha256#", "type"),
        ("[450.00]".to_owned(), "unknown", "sha256#", "450.00"),
    ] {
        let shop = Shop::open().await;
        let (secret, now) = (shop.stack.cashfree.client_secret(), shop.stack.clock.now());
        let post = Post::signed(&secret, now, body.clone());
        for _ in 0..2 {
            assert_accepted(&post.to(&shop.webhook).await);
        }
        assert!(waiting(&shop.stack).await.is_empty(), "{body}");
        let [item] = done(&shop.stack).await.try_into().unwrap();
        assert!(item.id.starts_with(id), "{body}: {}", item.id);
        assert_eq!((item.ended.as_deref(), item.ttl.is_some()), (Some(why), true), "{body}");
        assert!(item.text.contains(keeps), "{body}: {}", item.text);
        for private in ["customer_", PHONE, "@", "9611199227", "9908734801"] {
            assert!(!item.text.contains(private), "{private}: {}", item.text);
        }
        shop.assert_books("active", "", 0).await;
    }
}

#[tokio::test]
async fn an_old_event_that_nobody_processes_is_archived_like_a_new_one() {
    let shop = Shop::open().await;
    let secret = shop.stack.cashfree.client_secret();
    let old = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_accepted(&Post::signed(&secret, old, dispute()).to(&shop.webhook).await);
    let [item] = done(&shop.stack).await.try_into().unwrap();
    assert_eq!(item.body.unwrap()["isStale"], json!(true));
}
