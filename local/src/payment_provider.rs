//! Which server plays the payment provider for `make dev`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use fake_cashfree::{FakeCashfree, Options, Sending};
use shared_core::env::Env;
use shared_lambda::system_clock;

use crate::LocalError;

/// Cashfree, or what stands in for it.
pub(crate) enum PaymentProvider {
    /// The fake, in this process.
    Fake(FakeCashfree),
    /// Cashfree itself, or another server with its API.
    Real,
}

impl PaymentProvider {
    pub(crate) async fn choose(
        env: &Env<'_>,
        origin: &str,
        directory: &Path,
    ) -> Result<Self, LocalError> {
        if env.optional("CASHFREE_CLIENT_ID").is_some() {
            return Ok(Self::Real);
        }
        let variable = "LOCAL_CASHFREE_PORT";
        let port = env.parsed(variable, 28081)?;
        let options = Options {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            // Payments are kept longer than one run, here and in Postgres.
            first_id: system_clock().now().as_millisecond().unsigned_abs(),
            sending: Sending {
                target: Some(format!("{origin}/api/webhooks/cashfree")),
                ..Sending::default()
            },
            orders_file: Some(directory.join("cashfree.json")),
            ..Options::default()
        };
        let fake = FakeCashfree::start_with(options).await;
        fake.map(Self::Fake).map_err(|source| LocalError::Port { port, variable, source })
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Fake(fake) => vec![
                ("CASHFREE_BASE_URL", fake.base_url()),
                ("CASHFREE_CLIENT_ID", fake.client_id().to_owned()),
                ("CASHFREE_CLIENT_SECRET", fake.client_secret()),
            ],
            Self::Real => Vec::new(),
        }
    }
}

/// Says how a plan is bought.
impl fmt::Display for PaymentProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fake(fake) => write!(
                f,
                "POST /api/orders, then pay at http://{}/local/checkout/<paymentSessionId> (no money moves)",
                fake.address()
            ),
            Self::Real => f.write_str("POST /api/orders, paid on your CASHFREE_CLIENT_ID"),
        }
    }
}
