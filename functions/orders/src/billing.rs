//! The payment provider, and what is stored of buyers for it.

use secrecy::{ExposeSecret, SecretString};
use shared_cashfree::{Cashfree, CashfreeConfig};
use shared_core::billing::{OrderId, PayerId, Phone};
use shared_core::clock::Clock;
use shared_core::env::{ConfigError, Env};
use shared_core::random::Entropy;
use shared_vault::DerivedKey;

/// The payment provider, and the keys of what is stored for it.
///
/// Phone numbers and payment sessions are encrypted under keys that are derived from the provider's secret: a dump of the
/// database reveals neither. When the secret is replaced they are lost, and are asked for again.
#[derive(Clone, Debug)]
pub struct Billing {
    /// The provider's API.
    pub cashfree: Cashfree,
    phones: DerivedKey,
    sessions: DerivedKey,
}

impl Billing {
    /// The provider of the variables of [`CashfreeConfig`]; `None` where nothing is sold.
    pub fn from_env(
        env: &Env<'_>,
        clock: Clock,
        entropy: &Entropy,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(config) = CashfreeConfig::from_env(env)? else { return Ok(None) };
        let key = |purpose| DerivedKey::new(&config.client_secret, purpose, entropy.clone());
        Ok(Some(Self {
            phones: key("phone numbers of buyers"),
            sessions: key("payment sessions of orders"),
            cashfree: Cashfree::new(&config, clock)?,
        }))
    }

    pub(crate) fn seal_phone(&self, payer: PayerId, phone: &Phone) -> Vec<u8> {
        self.phones.seal(payer.0.as_bytes(), phone.expose())
    }

    pub(crate) fn open_phone(&self, payer: PayerId, sealed: &[u8]) -> Option<Phone> {
        let phone = self.phones.open(payer.0.as_bytes(), sealed)?;
        Phone::parse(phone.expose_secret()).ok()
    }

    pub(crate) fn seal_session(&self, order: OrderId, session: &SecretString) -> Vec<u8> {
        self.sessions.seal(order.0.as_bytes(), session.expose_secret())
    }

    pub(crate) fn open_session(&self, order: OrderId, sealed: &[u8]) -> Option<SecretString> {
        self.sessions.open(order.0.as_bytes(), sealed)
    }
}
