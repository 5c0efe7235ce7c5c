//! A fake of the parts of AWS that the functions call: Secrets Manager's `BatchGetSecretValue`,
//! `ElastiCache`'s `DescribeServerlessCaches`, and KMS's `GenerateDataKey` and `Decrypt`. It is a real server
//! on a loopback port, driven by AWS's own SDK, so that protocols, signing, retries and timeouts are real
//! too.
//!
//! A request has to be signed (the form of the signature is checked, not its value), and is recorded. A test
//! adds secrets, caches and keys, and scripts failures and delays with [`Trouble`].

mod answer;
mod caches;
mod keys;
mod memory;
mod secrets;
mod server;
mod signature;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use crate::keys::KeyState;
pub use crate::memory::Call;
use crate::memory::Memory;

/// The region of all resources.
pub const REGION: &str = "ap-south-1";
/// The account that owns all resources.
pub const ACCOUNT: &str = "111122223333";

/// A running server. It stops when this is dropped.
pub struct FakeAws {
    address: SocketAddr,
    memory: Arc<Memory>,
    /// The accept loop. A set of one, because a set aborts its tasks when it is dropped.
    _server: JoinSet<()>,
}

/// A scripted failure or delay of one call.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// Too many calls; the SDK retries.
    Throttled,
    /// A failure inside AWS; the SDK retries.
    Broken,
    /// The caller has no permission for the operation.
    Denied,
    /// The usual response, delayed by this long.
    Slow(Duration),
    /// This response, whatever the request.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body, of no particular type.
        body: String,
    },
}

impl FakeAws {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Memory::default());
        let app = server::router(Arc::clone(&memory));
        let mut server = JoinSet::new();
        server.spawn(async {
            // Ends with the set.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, memory, _server: server })
    }

    /// The endpoint in place of all of AWS's: `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables that Lambda would set, and [`FakeAws::url`].
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "ASIATESTTESTTESTTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_SESSION_TOKEN", "test".to_owned()),
            ("AWS_ENDPOINT_URL", self.url()),
        ]
    }

    /// Stores a text under `name`, and returns the secret's ARN with the suffix that AWS would give.
    pub fn put_secret(&self, name: &str, text: &str) -> String {
        self.memory.put_secret(name, secrets::Content::Text(text.to_owned()))
    }

    /// The same for bytes.
    pub fn put_binary_secret(&self, name: &str, bytes: &[u8]) -> String {
        self.memory.put_secret(name, secrets::Content::Bytes(bytes.to_owned()))
    }

    /// Stores a secret that the caller may not read.
    pub fn put_forbidden_secret(&self, name: &str) -> String {
        self.memory.put_secret(name, secrets::Content::Forbidden)
    }

    /// Adds a serverless cache, or replaces it: `status` is `available`, `creating`, `modifying`, ….
    pub fn put_cache(&self, name: &str, status: &str, endpoint: (&str, u16)) {
        self.memory.put_cache(name, status, endpoint);
    }

    /// Adds a symmetric key to KMS, or replaces it by another of the same id, and returns its ARN.
    pub fn put_key(&self, id: &str) -> String {
        self.memory.put_key(id)
    }

    /// Sets the state of a key; ignores one that does not exist.
    pub fn set_key_state(&self, arn: &str, state: KeyState) {
        self.memory.set_key_state(arn, state);
    }

    /// Applies `trouble` to the next `calls` calls, after those of earlier scripts.
    pub fn script(&self, calls: usize, trouble: &Trouble) {
        self.memory.script(calls, trouble);
    }

    /// All calls in the order of their arrival, including refused and retried ones.
    pub fn calls(&self) -> Vec<Call> {
        self.memory.calls()
    }
}

impl std::fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeAws").field("address", &self.address).finish_non_exhaustive()
    }
}
