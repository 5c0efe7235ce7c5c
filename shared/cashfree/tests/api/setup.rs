//! A client of the scripted server, and the capture of its log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use shared_cashfree::{Cashfree, CashfreeConfig, Mode, NewOrder};
use shared_core::billing::{OrderId, Paise, PayerId, Phone};
use shared_core::clock::Clock;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;

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

/// A clock that tests move.
#[derive(Clone, Default)]
pub(crate) struct Hands(Arc<Mutex<SignedDuration>>);

impl Hands {
    pub(crate) fn advance_secs(&self, seconds: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::new(move || Timestamp::UNIX_EPOCH + *hands.0.lock().unwrap())
    }
}

/// A server with these answers, and a client of it.
pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> (Server, Cashfree) {
    let server = Server::start(answers).await;
    let client = Cashfree::new(&config(&server.base_url), Hands::default().clock()).unwrap();
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

/// Captures all logs of this thread, libraries included, until it is dropped.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> Self {
        let lines = Arc::<Mutex<Vec<u8>>>::default();
        let written = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&written)))
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }
}
