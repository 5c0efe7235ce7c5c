//! A client of the scripted server.

use jiff::Timestamp;
use secrecy::SecretString;
use shared_cashfree::{Cashfree, CashfreeConfig, Mode, NewOrder};
use shared_core::billing::{OrderId, Paise, PayerId, Phone};
use testkit::MovableClock;

use crate::server::{Answer, Server};

/// Part of each secret in these tests, and of no other text.
pub(crate) const SECRET: &str = "c0ffee";
pub(crate) const PHONE: &str = "9908734801";
pub(crate) const ID: &str = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
pub(crate) const EMAIL: &str = "asha@example.com";

pub(crate) fn id() -> OrderId {
    OrderId::parse(ID).unwrap()
}

pub(crate) fn config(base_url: &str) -> CashfreeConfig {
    CashfreeConfig {
        mode: Mode::Sandbox,
        client_id: "TEST_c0ffee_id".to_owned(),
        client_secret: SecretString::from("cfsk_c0ffee_secret"),
        base_url: base_url.to_owned(),
    }
}

/// A clock at the epoch.
pub(crate) fn clock() -> MovableClock {
    let clock = MovableClock::new();
    clock.set(Timestamp::UNIX_EPOCH);
    clock
}

/// A server with these answers, and a client of it.
pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> (Server, Cashfree) {
    let server = Server::start(answers).await;
    let client = Cashfree::new(&config(&server.base_url), clock().clock()).unwrap();
    (server, client)
}

/// An order to create.
pub(crate) fn new_order(phone: &Phone) -> NewOrder<'_> {
    NewOrder {
        id: id(),
        payer: PayerId("6f9619ff-8b86-4d01-b42d-00cf4fc964ff".parse().unwrap()),
        price: Paise::new(45_000),
        phone,
        expires_at: "2026-11-22T19:30:00.987Z".parse().unwrap(),
        return_url: "https://chat.example.com/billing/return?order={order_id}",
        notify_url: Some("https://chat.example.com/api/webhooks/cashfree"),
        note: "premium, 30 days",
    }
}

pub(crate) fn phone() -> Phone {
    Phone::parse(PHONE).unwrap()
}

/// Cashfree's document of an order.
pub(crate) fn order_body(status: &str) -> String {
    format!(
        r#"{{"cf_order_id":"2149460581","order_id":"{ID}","entity":"order","order_amount":450.00,"order_currency":"INR",
        "order_status":"{status}","payment_session_id":"session_c0ffee","order_expiry_time":"2026-11-23T01:00:00+05:30",
        "customer_details":{{"customer_id":"x","customer_phone":"{PHONE}","customer_email":"{EMAIL}"}}}}"#
    )
}
