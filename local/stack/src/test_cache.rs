//! A key prefix of the shared Valkey for one test.

use crate::TestServers;
use crate::ports::random;

/// The address of the shared Valkey and a prefix that no other test uses.
pub struct TestCache {
    url: String,
    key_prefix: String,
}

impl TestCache {
    /// A new prefix. Keys under it stay until they expire or the test servers stop: a key without a time to
    /// live is a bug in the code under test.
    pub async fn create() -> Self {
        let servers = TestServers::shared().await;
        Self {
            url: servers.cache_url(),
            key_prefix: format!("test-{}-{:x}:", std::process::id(), random()),
        }
    }

    /// `redis://127.0.0.1:port`, of a cluster of one node.
    pub fn cache_url(&self) -> &str {
        &self.url
    }

    /// The prefix of every key, outside its hash tag.
    pub fn key_prefix(&self) -> &str {
        &self.key_prefix
    }
}
