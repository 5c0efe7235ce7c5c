//! What a test or `make dev` chooses: the clock, the ids, and how webhooks are sent.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;

/// The time as the fake sees it: of expiry, of rate limits, and in everything that it writes. Delays of
/// webhooks are real time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a server is started.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; by default a free loopback port.
    pub address: SocketAddr,
    /// By default the system's clock.
    pub clock: Clock,
    /// The first of the numbers that ids are made of, each one more than the last; the default is always
    /// the same. A product that keeps payments longer than one run needs another for each run.
    pub first_id: u64,
    /// How webhooks are sent at first.
    pub sending: Sending,
    /// Where orders and their payments are kept between runs; by default nowhere. Written after each change.
    pub orders_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Arc::new(clock::system),
            first_id: 5_114_910_000,
            sending: Sending::default(),
            orders_file: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How webhooks are made and sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// The `http` URL that receives them, as configured in Cashfree's dashboard; `None` is each order's
    /// `notify_url`. Without either they are made and not sent.
    pub target: Option<String>,
    /// The version of those that are made from now on.
    pub version: WebhookVersion,
    /// Delays before a second, third, … attempt. By default Cashfree's 2, 10 and 30 minutes, with a second
    /// for a minute.
    pub retry_delays: Vec<Duration>,
    /// Whether a retry has a timestamp and signature of its own, instead of the first attempt's.
    pub resign_retries: bool,
    /// Whether webhooks wait for [`release`](crate::FakeCashfree::release).
    pub hold: bool,
    /// How many of the next webhooks are lost: made, and never sent. Counts down.
    pub lose: usize,
    /// How many times each is sent, if the receiver accepts it.
    pub copies: usize,
    /// Delay before the first attempt.
    pub delay: Duration,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            target: None,
            version: WebhookVersion::default(),
            retry_delays: [2, 10, 30].map(Duration::from_secs).to_vec(),
            resign_retries: false,
            hold: false,
            lose: 0,
            copies: 1,
            delay: Duration::ZERO,
        }
    }
}

/// A version of Cashfree's webhooks. (`2021-09-21` exists too; its form is not documented.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookVersion {
    /// `cf_payment_id` is a number.
    V2022_09_01,
    /// `cf_payment_id` is text.
    V2023_08_01,
    /// Has `international_payment`, `payment_surcharge` and the header `x-idempotency-key`.
    #[default]
    V2025_01_01,
    /// As [`V2025_01_01`](Self::V2025_01_01) (*).
    V2026_01_01,
}

impl WebhookVersion {
    /// As in `x-webhook-version`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2022_09_01 => "2022-09-01",
            Self::V2023_08_01 => "2023-08-01",
            Self::V2025_01_01 => "2025-01-01",
            Self::V2026_01_01 => "2026-01-01",
        }
    }
}
