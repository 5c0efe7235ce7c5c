//! Webhooks: their bodies in each version, their headers, and their signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::amount::{Paise, verbatim};
use crate::entities::{in_india, object};
use crate::options::WebhookVersion;
use crate::order::{Event, Order, Payment, PaymentStatus};

/// A webhook that was made, sent or not.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The order that it is about.
    pub order_id: String,
    /// Its `type`, such as `PAYMENT_SUCCESS_WEBHOOK`.
    pub event: &'static str,
    /// The headers of the last attempt; before it, of the first.
    pub headers: Vec<(&'static str, String)>,
    /// The signed bytes.
    pub body: Bytes,
    /// The status that each attempt was answered with; `None` for no answer.
    pub answers: Vec<Option<u16>>,
    pub(crate) notify_url: Option<String>,
}

impl Delivery {
    pub(crate) fn new(
        order: &Order,
        payment: &Payment,
        event: Event,
        (version, now, secret): (WebhookVersion, Timestamp, &str),
    ) -> Self {
        let (event, body) = match event {
            Event::Payment => payment_event(order, payment, version, now),
            Event::AutoRefund => auto_refund_event(order, payment, now),
        };
        let body = Bytes::from(body.get().to_owned());
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-webhook-attempt", "1".to_owned()),
            ("x-webhook-signature", String::new()),
            ("x-webhook-timestamp", String::new()),
            ("x-webhook-version", version.as_str().to_owned()),
        ];
        if version >= WebhookVersion::V2025_01_01 {
            // The same for each copy (*); a hash has the documented 44 characters.
            headers.push(("x-idempotency-key", STANDARD.encode(Sha256::digest(&body))));
        }
        let mut delivery = Self {
            order_id: order.id.clone(),
            event,
            headers,
            body,
            answers: Vec::new(),
            notify_url: order.meta.notify_url.clone(),
        };
        delivery.resign(secret, now);
        delivery
    }

    /// The value of a header; empty if the version has no such header.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| *header == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Replaces a header, or adds it.
    pub fn set_header(&mut self, name: &'static str, value: impl Into<String>) {
        match self.headers.iter_mut().find(|(header, _)| *header == name) {
            Some((_, old)) => *old = value.into(),
            None => self.headers.push((name, value.into())),
        }
    }

    /// Replaces the timestamp by `now`, and the signature accordingly.
    pub fn resign(&mut self, secret: &str, now: Timestamp) {
        let timestamp = now.as_millisecond().to_string();
        self.set_header("x-webhook-signature", sign(secret, &timestamp, &self.body));
        self.set_header("x-webhook-timestamp", timestamp);
    }
}

/// The signature of a webhook: `Base64(HMAC-SHA256(secret, timestamp + body))`, where `timestamp` is the text
/// of `x-webhook-timestamp`.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Amounts have two decimals under `PAYMENT_SUCCESS_WEBHOOK` and no needless zeros under the other types, as
/// in the documented samples.
fn payment_event(
    order: &Order,
    payment: &Payment,
    version: WebhookVersion,
    now: Timestamp,
) -> (&'static str, Box<RawValue>) {
    let (kind, amount) = match payment.status {
        PaymentStatus::Success | PaymentStatus::Pending => {
            ("PAYMENT_SUCCESS_WEBHOOK", order.amount.two_decimals())
        }
        PaymentStatus::Failed => ("PAYMENT_FAILED_WEBHOOK", order.amount.shortest()),
        PaymentStatus::UserDropped => ("PAYMENT_USER_DROPPED_WEBHOOK", order.amount.shortest()),
    };
    let order_part = json!({
        "order_id": order.id,
        "order_currency": payment.order_currency(),
        "order_tags": order.tags,
    });
    let order_part = object(order_part, [("order_amount", payment.order_amount(&amount))]);
    let payment_part = payment_details(payment, version);
    let payment_part = object(payment_part, [("payment_amount", payment.amount(&amount))]);
    let mut data = json!({
        "customer_details": order.customer_details(),
        "terminal_details": null,
    });
    if payment.status == PaymentStatus::Failed {
        data["error_details"] = payment.error_details();
    }
    if payment.status != PaymentStatus::UserDropped {
        data["payment_gateway_details"] = payment.gateway_details();
    }
    let exact = [
        ("order", order_part),
        ("payment", payment_part),
        ("payment_offers", offers(order, payment)),
    ];
    (kind, envelope(object(data, exact), kind, now))
}

fn payment_details(payment: &Payment, version: WebhookVersion) -> Value {
    let mut details = payment.details();
    if version == WebhookVersion::V2022_09_01 {
        details["cf_payment_id"] = payment.id.into();
    }
    if version >= WebhookVersion::V2025_01_01 {
        details["international_payment"] = json!({ "international": false });
        let was_charged = payment.status == PaymentStatus::Success;
        details["payment_surcharge"] = if was_charged {
            json!({ "payment_surcharge_service_charge": 0, "payment_surcharge_service_tax": 0 })
        } else {
            Value::Null
        };
        let upi = &mut details["payment_method"]["upi"];
        upi["upi_instrument"] = "UPI_SAVINGS".into();
        upi["upi_instrument_number"] = "masked".into();
        upi["upi_payer_ifsc"] = "FAKE0000001".into();
        upi["upi_payer_account_number"] = "XXXXX0001".into();
    }
    details
}

/// The offer that explains a payment of less than the order's amount; `null` without.
fn offers(order: &Order, payment: &Payment) -> Box<RawValue> {
    let Some(paid) = payment.attempt.payment_amount.as_deref().and_then(Paise::parse) else {
        return RawValue::NULL.to_owned();
    };
    let discount = Paise(order.amount.0.saturating_sub(paid.0)).shortest();
    let status = json!({ "redemption_status": "SUCCESS" });
    let redemption = object(status, [("discount_amount", verbatim(discount))]);
    let offer = json!({ "offer_id": "offer_fake", "offer_type": "DISCOUNT" });
    verbatim(format!("[{}]", object(offer, [("offer_redemption", redemption)])))
}

/// The refund of a second success.
fn auto_refund_event(
    order: &Order,
    payment: &Payment,
    now: Timestamp,
) -> (&'static str, Box<RawValue>) {
    let kind = "AUTO_REFUND_STATUS_WEBHOOK";
    let refund = json!({
        "event": "AUTO-REFUND",
        "cf_refund_id": payment.id,
        "cf_payment_id": payment.id.to_string(),
        "bank_reference": payment.bank_reference(),
        "order_id": order.id,
        "refund_currency": "INR",
        "refund_type": "PAYMENT_AUTO_REFUND",
        "refund_arn": payment.bank_reference(),
        "refund_status": "SUCCESS",
        "status_description": "Auto-Refund processed successfully",
        "refund_reason": "Multiple payments were performed against same order.",
        "created_at": in_india(now),
        "processed_at": null,
        "refund_charge": 0,
        "refund_splits": null,
        "metadata": null,
    });
    let amount = payment.amount(&order.amount.shortest());
    let refund = object(refund, [("refund_amount", amount)]);
    (kind, envelope(object(json!({}), [("auto_refund", refund)]), kind, now))
}

fn envelope(data: Box<RawValue>, kind: &str, now: Timestamp) -> Box<RawValue> {
    object(json!({ "event_time": in_india(now), "type": kind }), [("data", data)])
}
