//! Webhooks as bytes: bodies, headers and signatures.

use fake_cashfree::{Attempt, Delivery, FakeCashfree, WebhookVersion, sign};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::client::{created, held};

fn body(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_signed_with(delivery: &Delivery, secret: &str) -> bool {
    let expected = sign(secret, delivery.header("x-webhook-timestamp"), &delivery.body);
    delivery.header("x-webhook-signature") == expected
}

async fn one_of_each(fake: &FakeCashfree, id: &str) -> [Delivery; 3] {
    created(fake, id).await;
    for attempt in [Attempt::failure(), Attempt::user_dropped(), Attempt::success()] {
        fake.pay(id, attempt).unwrap();
    }
    let deliveries = fake.deliveries();
    deliveries[deliveries.len() - 3..].to_vec().try_into().unwrap()
}

/// A body whose signature Cashfree's own SDKs accept.
#[test]
fn the_signature_is_that_of_cashfrees_sdks() {
    let body = concat!(
        r#"{"data":{"auto_refund":{"event":"AUTO-REFUND","cf_refund_id":1243460973,"cf_payment_id":"2148333968","#,
        r#""bank_reference":"234928698581","order_id":"order_1944392Tpba8y2fHcHVx0SwREojp51Jgr","refund_amount":39,"#,
        r#""refund_currency":"INR","refund_type":"PAYMENT_AUTO_REFUND","refund_arn":"205907014017","#,
        r#""refund_status":"SUCCESS","status_description":"Auto-Refund processed successfully","#,
        r#""refund_reason":"Multiple payments were performed against same order.","#,
        r#""created_at":"2023-08-11T14:08:28+05:30","processed_at":null,"refund_charge":0,"refund_splits":null,"#,
        r#""metadata":null}},"event_time":"2023-08-11T14:10:21+05:30","type":"AUTO_REFUND_STATUS_WEBHOOK"}"#,
    );
    let secret = "TEST_cfsk_fixture_secret_0123456789abcdef";
    let signature = "W5oAXaFjIkHDSUPi3zzDCw9JUPo9GcGzFNiZoXOaAR0=";
    assert_eq!(sign(secret, "1691743221333", body.as_bytes()), signature);
}

#[tokio::test]
async fn each_version_has_its_headers_and_its_fields() {
    let (fake, _) = held().await;
    for (id, version, number) in [
        ("order_1", WebhookVersion::V2022_09_01, true),
        ("order_2", WebhookVersion::V2023_08_01, false),
        ("order_3", WebhookVersion::V2025_01_01, false),
        ("order_4", WebhookVersion::V2026_01_01, false),
    ] {
        fake.sending(|sending| sending.version = version);
        let is_new = version >= WebhookVersion::V2025_01_01;
        for delivery in one_of_each(&fake, id).await {
            let headers: Vec<_> = delivery.headers.iter().map(|(name, _)| *name).collect();
            let always = [
                "content-type",
                "x-webhook-attempt",
                "x-webhook-signature",
                "x-webhook-timestamp",
                "x-webhook-version",
            ];
            assert_eq!(headers[..5], always);
            assert_eq!(headers[5..], if is_new { vec!["x-idempotency-key"] } else { vec![] });
            assert_eq!(delivery.header("x-idempotency-key").len(), if is_new { 44 } else { 0 });
            assert_eq!(delivery.header("x-webhook-version"), version.as_str());
            assert_eq!(delivery.header("x-webhook-timestamp"), "1795374000000");
            assert!(is_signed_with(&delivery, &fake.client_secret()));
            let body = body(&delivery);
            let payment = &body["data"]["payment"];
            assert_eq!(payment["cf_payment_id"].is_u64(), number);
            assert_eq!(payment.get("international_payment").is_some(), is_new);
            assert_eq!(payment.get("payment_surcharge").is_some(), is_new);
            assert_eq!(payment["payment_method"]["upi"].get("upi_instrument").is_some(), is_new);
        }
    }
}

#[tokio::test]
async fn each_type_has_the_documented_fields() {
    let (fake, _) = held().await;
    let [failed, dropped, success] = one_of_each(&fake, "order_1").await;
    for (delivery, kind, amount, has_error, has_gateway) in [
        (failed, "PAYMENT_FAILED_WEBHOOK", "450,", true, true),
        (dropped, "PAYMENT_USER_DROPPED_WEBHOOK", "450,", false, false),
        (success, "PAYMENT_SUCCESS_WEBHOOK", "450.00,", false, true),
    ] {
        let text = str::from_utf8(&delivery.body).unwrap();
        assert!(text.contains(&format!("\"order_amount\":{amount}")), "{text}");
        let body = body(&delivery);
        assert_eq!((&body["type"], delivery.event), (&json!(kind), kind));
        assert_eq!(body["event_time"], "2026-11-23T00:30:00+05:30");
        let data = &body["data"];
        assert_eq!(
            keys(&data["order"]),
            ["order_amount", "order_currency", "order_id", "order_tags"]
        );
        assert_eq!(
            keys(&data["customer_details"]),
            ["customer_email", "customer_id", "customer_name", "customer_phone"]
        );
        assert_eq!(data["customer_details"]["customer_phone"], "9908734801");
        assert_eq!(data.get("error_details").is_some(), has_error);
        assert_eq!(data.get("payment_gateway_details").is_some(), has_gateway);
        let fields = keys(&data["payment"]);
        for field in
            ["auth_id", "bank_reference", "payment_group", "payment_message", "payment_time"]
        {
            assert!(fields.contains(&field), "{field}");
        }
    }
}

#[tokio::test]
async fn a_delivery_can_be_signed_anew() {
    let (fake, clock) = held().await;
    created(&fake, "order_1").await;
    fake.pay("order_1", Attempt::success()).unwrap();
    let old = fake.client_secret();
    fake.set_client_secret("rotated");
    clock.advance(SignedDuration::from_mins(6));
    assert!(is_signed_with(&fake.deliveries()[0], &old), "what is signed stays so");
    fake.resign(0);
    let [delivery] = fake.deliveries().try_into().unwrap();
    assert_eq!(delivery.header("x-webhook-timestamp"), "1795374360000");
    assert!(is_signed_with(&delivery, "rotated"));
    fake.set_webhook_secret(Some("of its own".to_owned()));
    fake.pay("order_1", Attempt::success().began_earlier()).unwrap();
    assert!(is_signed_with(&fake.deliveries()[1], "of its own"));
}
