//! What is read of a webhook's body.

use std::time::{Duration, Instant};

use insta::assert_json_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared_cashfree::{Delivery, DeliveryContent};

use crate::fixtures::body;

fn read(body: &Value) -> Delivery {
    Delivery::read(body.to_string().as_bytes())
}

fn is_other(delivery: &Delivery) -> bool {
    matches!(delivery.content, DeliveryContent::Other(_))
        && delivery.identity() == format!("sha256#{}", delivery.body_sha256)
}

/// A payment's webhook, as short as it can be.
fn payment() -> Value {
    json!({
        "type": "PAYMENT_SUCCESS_WEBHOOK",
        "event_time": "2025-01-15T12:20:31+05:30",
        "data": {
            "order": { "order_id": "order_1", "order_amount": "450.00", "order_currency": "INR" },
            "payment": { "cf_payment_id": "7", "payment_status": "SUCCESS" },
        },
    })
}

#[test]
fn a_payment_is_read_and_nothing_of_the_buyer() {
    let delivery = Delivery::read(&body("01"));
    assert_eq!(delivery.identity(), "PAYMENT_SUCCESS_WEBHOOK#1453002795#SUCCESS");
    assert_json_snapshot!(delivery, @r#"
    {
      "event": "PAYMENT_SUCCESS_WEBHOOK",
      "eventTime": "2025-01-15T12:20:31+05:30",
      "content": {
        "kind": "payment",
        "value": {
          "payment": "1453002795",
          "order": "t3c_01JZ8Q7W5N3Y6K2M4P9RSTVWXY",
          "status": "SUCCESS",
          "orderAmount": "170.00",
          "currency": "INR",
          "amount": "170.00",
          "at": "2025-01-15T06:50:29Z"
        }
      },
      "bodySha256": "10094a39b854c32e879d00073357863b1f096c465de02245f8ae45c89487f70c"
    }
    "#);
}

#[test]
fn a_refund_is_read() {
    let delivery = Delivery::read(&body("07"));
    assert_eq!(delivery.identity(), "REFUND_STATUS_WEBHOOK#11325632#SUCCESS");
    assert_json_snapshot!(delivery.content, @r#"
    {
      "kind": "refund",
      "value": {
        "refund": "11325632",
        "reference": "refund_sampleorder0413",
        "payment": "789727431",
        "order": "sampleorder0413",
        "amount": "2.00",
        "currency": "INR",
        "status": "SUCCESS",
        "kind": "MERCHANT_INITIATED"
      }
    }
    "#);
}

#[test]
fn an_automatic_refund_is_read() {
    let delivery = Delivery::read(&body("08"));
    assert_eq!(delivery.identity(), "AUTO_REFUND_STATUS_WEBHOOK#1243460973#SUCCESS");
    assert_json_snapshot!(delivery.content, @r#"
    {
      "kind": "refund",
      "value": {
        "refund": "1243460973",
        "payment": "2148333968",
        "order": "order_1944392Tpba8y2fHcHVx0SwREojp51Jgr",
        "amount": "39",
        "currency": "INR",
        "status": "SUCCESS",
        "kind": "PAYMENT_AUTO_REFUND"
      }
    }
    "#);
}

#[test]
fn a_dispute_is_read() {
    let body = json!({
        "data": {
            "dispute": { "dispute_id": 433_475_257, "dispute_type": "CHARGEBACK", "reason_code": "13.1",
                "dispute_amount": 450, "dispute_status": "CHARGEBACK_MERCHANT_LOST" },
            "order_details": { "order_id": "order_1", "order_amount": 450, "cf_payment_id": 885_473_311 },
            "customer_details": { "customer_phone": "9908734801" },
        },
        "event_time": "2023-06-15T21:50:04+05:30",
        "type": "DISPUTE_CLOSED",
    });
    let delivery = read(&body);
    assert_eq!(delivery.identity(), "DISPUTE_CLOSED#433475257#CHARGEBACK_MERCHANT_LOST");
    assert_json_snapshot!(delivery.content, @r#"
    {
      "kind": "dispute",
      "value": {
        "id": "433475257",
        "kind": "CHARGEBACK",
        "status": "CHARGEBACK_MERCHANT_LOST",
        "order": "order_1",
        "payment": "885473311"
      }
    }
    "#);
}

#[test]
fn failure_and_success_of_one_payment_are_two_events_and_a_repetition_is_none() {
    let identity = |event: &str, status: &str| {
        let mut body = payment();
        body["type"] = event.into();
        body["data"]["payment"]["payment_status"] = status.into();
        read(&body).identity()
    };
    let success = identity("PAYMENT_SUCCESS_WEBHOOK", "SUCCESS");
    assert_eq!(success, identity("PAYMENT_SUCCESS_WEBHOOK", "SUCCESS"));
    assert_ne!(success, identity("PAYMENT_FAILED_WEBHOOK", "FAILED"));
    assert_ne!(success, identity("PAYMENT_SUCCESS_WEBHOOK", "PENDING"));
}

#[test]
fn the_status_counts_and_not_the_events_name() {
    let mut body = payment();
    body["data"]["payment"]["payment_status"] = "PENDING".into();
    let DeliveryContent::Payment(attempt) = read(&body).content else { panic!("no payment") };
    assert!(!attempt.is_success());
}

#[test]
fn an_id_is_a_number_in_one_version_and_text_in_another() {
    let text = payment().to_string();
    let number = text.replace("\"cf_payment_id\":\"7\"", "\"cf_payment_id\":7");
    assert_ne!(text, number);
    let [text, number] = [text, number].map(|body| Delivery::read(body.as_bytes()));
    assert_eq!(text.content, number.content);
    assert_eq!(text.identity(), number.identity());
}

#[test]
fn an_amount_is_kept_as_it_is_written() {
    for written in ["170.00", "170", "170.0", "449.995", "450.001", "1e2", "1234567890.123456789"] {
        for json in [written.to_owned(), format!("\"{written}\"")] {
            let body = payment().to_string().replace("\"450.00\"", &json);
            let DeliveryContent::Payment(attempt) = Delivery::read(body.as_bytes()).content else {
                panic!("no payment: {json}")
            };
            assert_eq!(attempt.order_amount, written);
        }
    }
}

#[test]
fn a_payment_that_lacks_a_field_is_something_else() {
    assert!(!is_other(&read(&payment())));
    for pointer in [
        "/data",
        "/data/order",
        "/data/payment",
        "/data/order/order_id",
        "/data/order/order_amount",
        "/data/order/order_currency",
        "/data/payment/cf_payment_id",
        "/data/payment/payment_status",
    ] {
        for value in [json!(null), json!("a b"), json!("x".repeat(65)), json!([1]), json!(true)] {
            let mut body = payment();
            *body.pointer_mut(pointer).unwrap() = value;
            assert!(is_other(&read(&body)), "{body}");
        }
    }
}

#[test]
fn an_unknown_event_is_kept_without_what_identifies_the_buyer() {
    for event in ["SETTLEMENT_SUCCESS", "PAYMENT_CHARGES_WEBHOOK", "PAYMENT_SUCCESS_WEBHOOK_V9"] {
        let mut body = payment();
        body["type"] = event.into();
        body["data"]["customer_details"] = json!({ "customer_phone": "9908734801" });
        let delivery = read(&body);
        assert_eq!(delivery.event, event);
        assert!(is_other(&delivery), "{event}");
        let stored = serde_json::to_string(&delivery).unwrap();
        assert!(stored.contains("order_1") && !stored.contains("9908734801"), "{stored}");
    }
}

#[test]
fn a_subscription_is_something_else() {
    let delivery = Delivery::read(&body("10"));
    assert_eq!(delivery.event, "SUBSCRIPTION_PAYMENT_SUCCESS");
    assert!(is_other(&delivery));
    let stored = serde_json::to_string(&delivery).unwrap();
    assert!(stored.contains("SUBV2ODRc5Dl2meCr7Iui") && !stored.contains("8100000000"), "{stored}");
}

#[test]
fn a_malformed_event_name_or_time_is_not_kept() {
    for event in [json!("payment"), json!("A B"), json!("A".repeat(65)), json!(""), json!(7)] {
        let mut body = payment();
        (body["type"], body["event_time"]) = (event, json!("9908734801 and more"));
        let delivery = read(&body);
        assert_eq!((&*delivery.event, &delivery.event_time), ("unknown", &None));
        assert!(is_other(&delivery));
    }
    for body in ["[]", "null", "7", r#""text""#, "{}", r#"["PAYMENT_SUCCESS_WEBHOOK"]"#] {
        let delivery = Delivery::read(body.as_bytes());
        assert!(delivery.event == "unknown" && is_other(&delivery), "{body}");
    }
}

#[test]
fn a_body_that_is_no_json_is_told_by_its_hash() {
    for body in
        [&b""[..], b"\xff", b"{\"type\":\"\xe9\"}", b"{", b"{}{}", b"<xml>", b"\xef\xbb\xbf{}"]
    {
        let delivery = Delivery::read(body);
        assert_eq!(delivery.content, DeliveryContent::NotJson, "{body:?}");
        assert_eq!(delivery.identity(), format!("sha256#{}", delivery.body_sha256));
    }
}

#[test]
fn the_largest_bodies_are_read_quickly() {
    let half = 128 * 1024;
    let nested = |open: &str, close: &str| {
        let depth = half / open.len().max(close.len());
        format!("{}{}", open.repeat(depth), close.repeat(depth))
    };
    let in_payment = |value: &str| {
        let body = payment().to_string();
        body.replacen("\"data\":{", &format!("\"data\":{{\"x\":{value},"), 1)
    };
    for body in [
        nested("[", "]"),
        nested("{\"a\":", "}").replace(":}", ":1}"),
        in_payment(&nested("[", "]")),
        in_payment(&format!("\"{}\"", "\\u0000".repeat(half / 3))),
        format!("[{}0]", "0,".repeat(half)),
        format!("{{{}\"\":0}}", "\"\":0,".repeat(half / 3)),
        "[".repeat(2 * half),
        "9".repeat(2 * half),
    ] {
        let began = Instant::now();
        let delivery = Delivery::read(body.as_bytes());
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert!(serde_json::to_string(&delivery).unwrap().len() < 1024);
    }
    let DeliveryContent::Payment(_) =
        Delivery::read(in_payment(&nested("[", "]")).as_bytes()).content
    else {
        panic!("a payment beside a large field is a payment")
    };
}

/// Names that are read, or never kept.
const NAMES: &[&str] = &[
    "type",
    "event_time",
    "data",
    "order",
    "payment",
    "refund",
    "auto_refund",
    "dispute",
    "order_details",
    "order_id",
    "order_amount",
    "order_currency",
    "cf_payment_id",
    "payment_status",
    "cf_refund_id",
    "refund_amount",
    "refund_currency",
    "refund_status",
    "dispute_id",
    "dispute_status",
    "customer_details",
];

/// JSON texts, from well-formed deliveries to anything.
fn bodies() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?",
        "\"[ -~&&[^\"\\\\]]{0,80}\"",
        any::<String>().prop_map(|text| json!(text).to_string()),
    ];
    scalar.prop_recursive(5, 60, 8, |inner| {
        let field = (prop::sample::select(NAMES), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..8).prop_map(|fields| {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", fields.join(" , "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_body_is_read_stored_and_read_back(body in bodies()) {
        let delivery = Delivery::read(body.as_bytes());
        let identity = delivery.identity();
        prop_assert!(identity.len() <= 194, "{}", identity);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_#".contains(&byte);
        prop_assert!(identity.bytes().all(is_safe), "{}", identity);
        let stored = serde_json::to_string(&delivery).unwrap();
        prop_assert!(!stored.contains("\"customer_details\":"), "{}", stored);
        prop_assert_eq!(serde_json::from_str::<Delivery>(&stored).unwrap(), delivery);
    }

    #[test]
    fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let delivery = Delivery::read(&body);
        prop_assert_eq!(&delivery.event, "unknown");
        prop_assert!(delivery.identity().starts_with("sha256#"));
    }
}
