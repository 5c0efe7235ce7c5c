//! The entities of the API: orders and payments as JSON.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::amount::verbatim;
use crate::order::{Order, Payment, PaymentStatus};

impl Order {
    pub(crate) fn entity(&self, now: Timestamp) -> Box<RawValue> {
        let mut customer = self.customer_details();
        customer["customer_uid"] = format!("uid-{}", self.cf_id).into();
        let fields = json!({
            "cf_order_id": self.cf_id.to_string(),
            "created_at": in_india(self.created_at),
            "customer_details": customer,
            "entity": "order",
            "payment_session_id": self.session,
            "order_currency": "INR",
            "order_expiry_time": in_india(self.expires_at),
            "order_id": self.id,
            "order_meta": {
                "return_url": self.meta.return_url,
                "payment_methods": self.meta.payment_methods,
                "notify_url": self.meta.notify_url,
            },
            "order_note": self.note,
            "order_splits": [],
            "order_status": self.status(now).as_str(),
            "order_tags": self.tags,
            "terminal_data": null,
            "cart_details": null,
        });
        object(fields, [("order_amount", verbatim(self.amount.shortest()))])
    }

    pub(crate) fn payment_entity(&self, payment: &Payment) -> Box<RawValue> {
        let mut fields = payment.details();
        fields["order_id"] = (*self.id).into();
        fields["entity"] = "payment".into();
        fields["error_details"] = payment.error_details();
        fields["is_captured"] = (payment.status == PaymentStatus::Success).into();
        fields["order_currency"] = payment.order_currency().into();
        fields["payment_completion_time"] = payment.completed_at.map(in_india).into();
        fields["authorization"] = Value::Null;
        fields["international_payment"] = json!({ "international": false });
        fields["payment_gateway_details"] = payment.gateway_details();
        fields["payment_surcharge"] = Value::Null;
        let amount = self.amount.shortest();
        let order_amount = ("order_amount", payment.order_amount(&amount));
        object(fields, [order_amount, ("payment_amount", payment.amount(&amount))])
    }

    pub(crate) fn customer_details(&self) -> Value {
        json!({
            "customer_name": self.customer.name,
            "customer_id": self.customer.id,
            "customer_email": self.customer.email,
            "customer_phone": self.customer.phone,
        })
    }
}

impl Payment {
    /// What the API and webhooks of every version have in common, without the amount.
    pub(crate) fn details(&self) -> Value {
        json!({
            "cf_payment_id": self.id.to_string(),
            "payment_status": self.status.as_str(),
            "payment_currency": "INR",
            "payment_message": self.status.message(),
            "payment_time": in_india(self.began_at),
            "bank_reference": self.bank_reference(),
            "auth_id": null,
            "payment_method": { "upi": { "channel": "collect", "upi_id": "fake@upi" } },
            "payment_group": "upi",
        })
    }

    /// The order's amount in this payment, which a test may have changed.
    pub(crate) fn order_amount(&self, real: &str) -> Box<RawValue> {
        verbatim(self.attempt.order_amount.as_deref().unwrap_or(real))
    }

    /// The order's currency in this payment, which a test may have changed.
    pub(crate) fn order_currency(&self) -> &str {
        self.attempt.order_currency.as_deref().unwrap_or("INR")
    }

    /// The amount that is paid: the order's, unless there is an offer.
    pub(crate) fn amount(&self, of_the_order: &str) -> Box<RawValue> {
        verbatim(self.attempt.payment_amount.as_deref().unwrap_or(of_the_order))
    }

    pub(crate) fn bank_reference(&self) -> String {
        format!("{:012}", self.id)
    }

    /// `null` unless the payment has failed.
    pub(crate) fn error_details(&self) -> Value {
        if self.status != PaymentStatus::Failed {
            return Value::Null;
        }
        json!({
            "error_code": "GATEWAY_ERROR",
            "error_description": self.status.message(),
            "error_reason": "auth_declined",
            "error_source": "customer",
            "error_subcode_raw": "U09",
        })
    }

    pub(crate) fn gateway_details(&self) -> Value {
        json!({
            "gateway_name": "CASHFREE",
            "gateway_order_id": self.id.to_string(),
            "gateway_payment_id": self.id.to_string(),
            "gateway_order_reference_id": null,
            "gateway_settlement": "CASHFREE",
            "gateway_status_code": null,
        })
    }
}

/// An object of these fields and of those that a [`Value`] cannot hold: amounts, which it would turn into
/// floats, and objects with amounts in them.
pub(crate) fn object<const N: usize>(
    fields: Value,
    exact: [(&str, Box<RawValue>); N],
) -> Box<RawValue> {
    let Value::Object(fields) = fields else { return RawValue::NULL.to_owned() };
    let fields = fields.into_iter().map(|(name, value)| (name, verbatim(value.to_string())));
    let exact = exact.into_iter().map(|(name, value)| (name.to_owned(), value));
    let all: std::collections::BTreeMap<String, Box<RawValue>> = fields.chain(exact).collect();
    // Fails for keys that are no text.
    to_raw_value(&all).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Formats a time as Cashfree does: `2023-08-11T18:02:46+05:30`.
pub(crate) fn in_india(at: Timestamp) -> String {
    let second = Timestamp::from_second(at.as_second()).unwrap_or(at);
    let offset = Offset::from_seconds(19_800).unwrap_or(Offset::UTC);
    second.display_with_offset(offset).to_string()
}
