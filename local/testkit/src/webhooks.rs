//! Webhooks of the fake payment provider, which a test sends itself: in any order, several times, or not at all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fake_cashfree::{Delivery, sign};
use http::HeaderValue;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Answer, Client, event_json};

/// The webhook's route.
pub const WEBHOOK: &str = "/api/webhooks/cashfree";

impl Client {
    /// Sends a delivery as the payment provider does.
    pub async fn deliver(&self, delivery: &Delivery) -> Answer {
        let mut request = self.request("POST", WEBHOOK, delivery.body.clone().into());
        for (name, value) in &delivery.headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
        }
        self.send(request).await
    }
}

/// The event `events/webhook.json` with this delivery in it.
pub fn delivery_event(delivery: &Delivery) -> String {
    let mut event = event_value("webhook");
    event["body"] = String::from_utf8(delivery.body.to_vec()).unwrap().into();
    for (name, value) in &delivery.headers {
        set_header(&mut event, name, value);
    }
    event.to_string()
}

/// The event `events/<name>.json` of a webhook, signed at `now` with `secret`: the one in the file is old.
pub fn signed_event(name: &str, secret: &str, now: Timestamp) -> String {
    let mut event = event_value(name);
    let (text, timestamp) = (event["body"].as_str().unwrap(), now.as_millisecond().to_string());
    let is_base64 = event["isBase64Encoded"] == true;
    let body = if is_base64 { STANDARD.decode(text).unwrap() } else { text.into() };
    let signature = sign(secret, &timestamp, &body);
    set_header(&mut event, "x-webhook-timestamp", &timestamp);
    set_header(&mut event, "x-webhook-signature", &signature);
    event.to_string()
}

fn event_value(name: &str) -> Value {
    serde_json::from_str(&event_json(name)).expect("JSON")
}

fn set_header(event: &mut Value, name: &str, value: &str) {
    event["headers"][name] = value.into();
    event["multiValueHeaders"][name] = json!([value]);
}
