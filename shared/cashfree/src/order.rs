//! Orders, as they are sent to Cashfree and as it reports them.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::value::RawValue;
use shared_core::billing::{CURRENCY, OrderId, Paise, PayerId, Phone};
use uuid::Uuid;

use crate::error::ResponseError;
use crate::object::Object;

/// The namespace of our idempotency keys, drawn at random.
const NAMESPACE: Uuid = Uuid::from_u128(0x5c7d_1f0e_93ab_4c62_8e21_b0d4_6fa9_7735);

/// An order to create.
#[derive(Clone, Copy)]
pub struct NewOrder<'a> {
    /// Its id, here and at Cashfree.
    pub id: OrderId,
    /// The buyer's pseudonym.
    pub payer: PayerId,
    /// Its amount. Cashfree refuses less than a rupee.
    pub price: Paise,
    /// The buyer's phone number; Cashfree requires one.
    pub phone: &'a Phone,
    /// Until when it can be paid, as it is stored; fractions of a second are cut off. Cashfree refuses 15 minutes or less
    /// from now.
    pub expires_at: Timestamp,
    /// Where the buyer's browser goes after the payment, at most 250 characters.
    pub return_url: &'a str,
    /// Where webhooks are sent; only an `https` URL is passed on, because Cashfree refuses others.
    pub notify_url: Option<&'a str>,
    /// What is bought, in 3 to 200 characters. The buyer may see it.
    pub note: &'a str,
}

/// Without the buyer's phone number.
impl fmt::Debug for NewOrder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut order = f.debug_struct("NewOrder");
        order
            .field("id", &self.id)
            .field("price", &self.price)
            .field("expires_at", &self.expires_at);
        order.finish_non_exhaustive()
    }
}

/// The body of the request that creates an order.
#[derive(Serialize)]
pub(crate) struct OrderBody<'a> {
    order_id: String,
    order_amount: Box<RawValue>,
    order_currency: &'static str,
    customer_details: Customer<'a>,
    order_meta: OrderMeta<'a>,
    order_expiry_time: String,
    order_note: &'a str,
}

#[derive(Serialize)]
struct Customer<'a> {
    #[serde(rename = "customer_id")]
    id: String,
    #[serde(rename = "customer_phone")]
    phone: &'a str,
}

#[derive(Serialize)]
struct OrderMeta<'a> {
    return_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_url: Option<&'a str>,
}

impl<'a> NewOrder<'a> {
    pub(crate) fn body(&self) -> serde_json::Result<OrderBody<'a>> {
        Ok(OrderBody {
            order_id: self.id.to_string(),
            order_amount: RawValue::from_string(self.price.to_string())?,
            order_currency: CURRENCY,
            customer_details: Customer {
                // Cashfree's documentation is unclear about dashes.
                id: self.payer.0.simple().to_string(),
                phone: self.phone.expose(),
            },
            order_meta: OrderMeta {
                return_url: self.return_url,
                notify_url: self.notify_url.filter(|url| url.starts_with("https://")),
            },
            order_expiry_time: self.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            order_note: self.note,
        })
    }

    /// The idempotency key, and the one after a failure that Cashfree may keep repeating for the first: another one each
    /// minute, because that may fail, too. The order's id prevents that it is created twice.
    pub(crate) fn idempotency_keys(&self, now: Timestamp) -> [Uuid; 2] {
        let minute = now.as_second().div_euclid(60);
        [self.id.to_string(), format!("{}:{minute}", self.id)]
            .map(|name| Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

/// An order, as Cashfree reports it. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct ProviderOrder {
    /// Its state there.
    pub state: ProviderState,
    /// Its amount as decimal text, as Cashfree wrote it.
    pub amount: String,
    /// Its currency (ISO 4217).
    pub currency: String,
    /// `payment_session_id`, with which the buyer's browser opens the checkout page.
    pub session: Option<SecretString>,
}

/// An order's state at Cashfree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderState {
    /// It waits for its payment.
    Active,
    /// It is paid.
    Paid,
    /// Its time is over; a payment that began earlier may still succeed.
    Expired,
    /// It cannot be paid any more.
    Terminated,
    /// It will be terminated, unless a payment that is under way succeeds.
    TerminationRequested,
    /// A state that is not known here.
    Other,
}

impl ProviderState {
    fn parse(word: &str) -> Self {
        match word {
            "ACTIVE" => Self::Active,
            "PAID" => Self::Paid,
            "EXPIRED" => Self::Expired,
            "TERMINATED" => Self::Terminated,
            "TERMINATION_REQUESTED" => Self::TerminationRequested,
            _ => Self::Other,
        }
    }
}

impl ProviderOrder {
    /// Reads the response about the order `id`.
    pub(crate) fn read(body: &str, id: OrderId) -> Result<Self, ResponseError> {
        let order = Object::parse(body).ok_or(ResponseError::Malformed("order"))?;
        if order.id("order_id")? != id.to_string() {
            return Err(ResponseError::Malformed("order_id"));
        }
        Ok(Self {
            state: ProviderState::parse(&order.word("order_status")?),
            amount: order.amount("order_amount")?,
            currency: order.word("order_currency")?,
            session: order
                .text("payment_session_id")
                .filter(|session| !session.is_empty())
                .map(SecretString::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const ID: &str = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";

    fn read(body: &str) -> Result<ProviderOrder, ResponseError> {
        ProviderOrder::read(body, OrderId::parse(ID).unwrap())
    }

    fn of_status(status: &str) -> String {
        format!(
            r#"{{"order_id":"{ID}","order_amount":450.00,"order_currency":"INR","order_status":{status},
                "payment_session_id":"session_c0ffee","order_expiry_time":"2026-11-23T01:00:00+05:30"}}"#
        )
    }

    #[test]
    fn an_order_is_read_and_its_session_is_redacted() {
        let order = read(&of_status("\"ACTIVE\"")).unwrap();
        assert_eq!((&*order.amount, &*order.currency), ("450.00", "INR"));
        assert_eq!(order.session.as_ref().unwrap().expose_secret(), "session_c0ffee");
        assert!(!format!("{order:?}").contains("c0ffee"), "{order:?}");
    }

    #[test]
    fn each_state_is_known_and_a_new_one_is_another() {
        for (word, state) in [
            ("ACTIVE", ProviderState::Active),
            ("PAID", ProviderState::Paid),
            ("EXPIRED", ProviderState::Expired),
            ("TERMINATED", ProviderState::Terminated),
            ("TERMINATION_REQUESTED", ProviderState::TerminationRequested),
            ("PARTIALLY_PAID", ProviderState::Other),
        ] {
            assert_eq!(read(&of_status(&format!("\"{word}\""))).unwrap().state, state);
        }
    }

    #[test]
    fn a_session_may_be_absent_but_nothing_else() {
        let bare = format!(
            r#"{{"order_id":"{ID}","order_amount":"450","order_currency":"INR","order_status":"PAID","payment_session_id":null}}"#
        );
        let order = read(&bare).unwrap();
        assert!(order.session.is_none());
        for (field, value) in [
            ("order_id", format!("\"{ID}\"")),
            ("order_amount", "\"450\"".to_owned()),
            ("order_currency", "\"INR\"".to_owned()),
            ("order_status", "\"PAID\"".to_owned()),
        ] {
            for other in ["null", "true", "\"\"", "{}"] {
                let body =
                    bare.replace(&format!("\"{field}\":{value}"), &format!("\"{field}\":{other}"));
                let error = read(&body).unwrap_err().to_string();
                assert_eq!(error, format!("the response has no well-formed {field}"));
            }
        }
    }

    #[test]
    fn an_answer_about_another_order_is_none() {
        let other = of_status("\"PAID\"").replace(ID, "0198c5a0-7b1e-7cc3-98c4-dc0c0c073990");
        assert!(read(&other).is_err());
        for body in ["", "[]", "null", "<html>"] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}
