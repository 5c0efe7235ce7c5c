//! Payment attempts, which webhooks and the API report with the same fields.

use serde_json::value::RawValue;
use shared_core::billing::{PaymentAttempt, SUCCESS};

use crate::error::ResponseError;
use crate::object::{Object, Unreadable};

/// Reads an attempt. A webhook has the order's fields and the payment's in two objects, the API in one.
pub(crate) fn read_attempt(
    order: &Object<'_>,
    payment: &Object<'_>,
) -> Result<PaymentAttempt, Unreadable> {
    Ok(PaymentAttempt {
        payment: payment.id("cf_payment_id")?,
        order: order.id("order_id")?,
        status: payment.word("payment_status")?,
        order_amount: order.amount("order_amount")?,
        currency: order.word("order_currency")?,
        amount: payment.amount("payment_amount").ok(),
        at: payment.time("payment_time"),
    })
}

/// Reads the response to `GET /orders/{id}/payments`.
///
/// An entry that cannot be read is left out: one that was never attempted may have no id, and must not hide a success
/// beside it. A success that cannot be read is an error, because leaving it out would hide a payment.
pub(crate) fn read_attempts(body: &str) -> Result<Vec<PaymentAttempt>, ResponseError> {
    let entries: Vec<&RawValue> =
        serde_json::from_str(body).map_err(|_| ResponseError::Malformed("list of payments"))?;
    let read = |entry: &RawValue| {
        let Some(payment) = Object::parse(entry.get()) else {
            return Some(Err(ResponseError::Malformed("payment")));
        };
        match read_attempt(&payment, &payment) {
            Ok(attempt) => Some(Ok(attempt)),
            Err(error) if payment.word("payment_status").is_ok_and(|word| word == SUCCESS) => {
                Some(Err(error.into()))
            }
            Err(_) => None,
        }
    };
    entries.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As documented, shortened.
    const PAYMENTS: &str = r#"[
        {"cf_payment_id":"975677709","order_id":"order_1","entity":"payment","error_details":null,"is_captured":true,
         "order_amount":450.00,"order_currency":"INR","payment_group":"upi","payment_currency":"INR","payment_amount":449.5,
         "payment_time":"2025-01-15T12:20:29+05:30","payment_status":"SUCCESS","payment_method":{"upi":{"upi_id":"c0ffee@ybl"}}},
        {"cf_payment_id":975677708,"order_id":"order_1","order_amount":450,"order_currency":"INR","payment_status":"FAILED"},
        {"cf_payment_id":null,"order_id":"order_1","order_amount":450,"order_currency":"INR","payment_status":"NOT_ATTEMPTED"}]"#;

    #[test]
    fn the_attempts_of_an_order_are_read_and_one_without_an_id_is_left_out() {
        let attempts = read_attempts(PAYMENTS).unwrap();
        let success = PaymentAttempt {
            payment: "975677709".into(),
            order: "order_1".into(),
            status: "SUCCESS".into(),
            order_amount: "450.00".into(),
            currency: "INR".into(),
            amount: Some("449.5".into()),
            at: Some("2025-01-15T06:50:29Z".parse().unwrap()),
        };
        let failed = PaymentAttempt {
            payment: "975677708".into(),
            status: "FAILED".into(),
            order_amount: "450".into(),
            amount: None,
            at: None,
            ..success.clone()
        };
        assert_eq!(attempts, [success, failed]);
        assert_eq!(read_attempts("[]").unwrap(), []);
    }

    #[test]
    fn a_success_that_cannot_be_read_is_an_error() {
        let body = PAYMENTS.replacen("\"975677709\"", "null", 1);
        let error = read_attempts(&body).unwrap_err().to_string();
        assert_eq!(error, "the response has no well-formed cf_payment_id");
        for body in ["", "{}", "null", "[1]", "[[]]", "[{}", "<html>"] {
            assert!(read_attempts(body).is_err(), "{body}");
        }
    }
}
