//! A corner of the shared Valkey for one test.

use crate::TestServers;
use crate::ports::random;

/// The address of the shared Valkey and a prefix that no other test uses.
pub struct TestCache {
    url: String,
    key_prefix: String,
}

impl TestCache {
    /// A new prefix. What is written under it stays until it expires or the test servers stop: keys
    /// without a time to live are a fault of the code under test.
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

    /// To be put before every key, outside its hash tag.
    pub fn key_prefix(&self) -> &str {
        &self.key_prefix
    }
}
