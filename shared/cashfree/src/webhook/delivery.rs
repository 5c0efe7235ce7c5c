//! What is read of a webhook, of any version of Cashfree's, known or not.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared_core::billing::PaymentAttempt;

use super::redacted::redacted;
use super::refund::{DisputeReport, RefundReport};
use crate::object::{Object, Unreadable};
use crate::payment::read_attempt;

/// The events that report a payment attempt.
const PAYMENT_EVENTS: [&str; 3] =
    ["PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_FAILED_WEBHOOK", "PAYMENT_USER_DROPPED_WEBHOOK"];
/// The event of a body that names none.
const UNKNOWN: &str = "unknown";
/// In characters.
const LONGEST_EVENT: usize = 64;
const LONGEST_TIME: usize = 40;

/// What is read of a webhook. Nothing else of its body is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The body's `type`, such as `PAYMENT_SUCCESS_WEBHOOK`; `unknown` if it has none, or a malformed one.
    pub event: String,
    /// The body's `event_time`, as Cashfree wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// What has happened.
    pub content: DeliveryContent,
    /// The body's SHA-256, as 64 hexadecimal digits.
    pub body_sha256: String,
}

/// What a webhook reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "camelCase")]
pub enum DeliveryContent {
    /// An attempt to pay an order. Its status counts, whatever the event is called: a success event may be `PENDING`.
    Payment(PaymentAttempt),
    /// A refund.
    Refund(RefundReport),
    /// A dispute of a payment.
    Dispute(DisputeReport),
    /// Anything else: an event that is not known here, or one that lacks a field. The body without what identifies the
    /// buyer; null if it is longer than 64 KiB.
    Other(Value),
    /// The body is not JSON.
    NotJson,
}

impl Delivery {
    /// Reads a body whose signature has been [verified](super::WebhookSecrets::verify).
    pub fn read(body: &[u8]) -> Self {
        let body_sha256 = hex::encode(Sha256::digest(body));
        let is_json = |text: &&str| serde_json::from_str::<&RawValue>(text).is_ok();
        let Some(text) = str::from_utf8(body).ok().filter(is_json) else {
            let (event, content) = (UNKNOWN.to_owned(), DeliveryContent::NotJson);
            return Self { event, event_time: None, content, body_sha256 };
        };
        let envelope = Object::parse(text);
        let field = |name| envelope.as_ref().and_then(|envelope| envelope.text(name));
        let event = field("type").filter(|event| is_event(event));
        let event = event.unwrap_or_else(|| UNKNOWN.to_owned());
        let content = envelope.as_ref().and_then(|envelope| known(&event, envelope));
        Self {
            event_time: field("event_time").filter(|time| is_time(time)),
            content: content.unwrap_or_else(|| DeliveryContent::Other(redacted(text))),
            event,
            body_sha256,
        }
    }

    /// Whether its event reports a payment attempt, readable or not.
    pub fn is_of_payment(&self) -> bool {
        PAYMENT_EVENTS.contains(&&*self.event)
    }

    /// Tells deliveries of different events apart, and repetitions of one not: the event, what it is about, and its
    /// status; else the body's hash. At most 194 letters, digits, `-`, `_` and `#`.
    pub fn identity(&self) -> String {
        let (id, status) = match &self.content {
            DeliveryContent::Payment(attempt) => (&attempt.payment, &attempt.status),
            DeliveryContent::Refund(refund) => (&refund.refund, &refund.status),
            DeliveryContent::Dispute(dispute) => (&dispute.id, &dispute.status),
            DeliveryContent::Other(_) | DeliveryContent::NotJson => {
                return format!("sha256#{}", self.body_sha256);
            }
        };
        format!("{}#{id}#{status}", self.event)
    }
}

/// Reads the events that matter here; `None` for others, and for one that lacks a field.
fn known(event: &str, envelope: &Object<'_>) -> Option<DeliveryContent> {
    let data = envelope.object("data").ok()?;
    let content = match event {
        event if PAYMENT_EVENTS.contains(&event) => payment(&data),
        "REFUND_STATUS_WEBHOOK" => refund(&data, "refund"),
        "AUTO_REFUND_STATUS_WEBHOOK" => refund(&data, "auto_refund"),
        "DISPUTE_CREATED" | "DISPUTE_UPDATED" | "DISPUTE_CLOSED" => dispute(&data),
        _ => return None,
    };
    content.ok()
}

fn payment(data: &Object<'_>) -> Result<DeliveryContent, Unreadable> {
    let (order, payment) = (data.object("order")?, data.object("payment")?);
    read_attempt(&order, &payment).map(DeliveryContent::Payment)
}

fn refund(data: &Object<'_>, name: &'static str) -> Result<DeliveryContent, Unreadable> {
    RefundReport::read(&data.object(name)?).map(DeliveryContent::Refund)
}

fn dispute(data: &Object<'_>) -> Result<DeliveryContent, Unreadable> {
    let order = data.object("order_details").ok();
    DisputeReport::read(&data.object("dispute")?, order.as_ref()).map(DeliveryContent::Dispute)
}

fn is_event(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=LONGEST_EVENT).contains(&text.len()) && text.bytes().all(is_safe)
}

/// Whether it looks like a time of ISO 8601: it is kept for people only.
fn is_time(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_digit() || b"-+:.TZ ".contains(&byte);
    (1..=LONGEST_TIME).contains(&text.len()) && text.bytes().all(is_safe)
}
