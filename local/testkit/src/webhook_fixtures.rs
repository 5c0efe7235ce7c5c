//! Signed webhooks of each kind, with the verdict of the payment provider's own SDKs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use http::HeaderMap;
use serde::Deserialize;

use crate::repository;

/// A webhook of `shared/cashfree/tests/fixtures`.
#[derive(Debug, Deserialize)]
pub struct WebhookFixture {
    /// Its name, which begins with its number.
    pub name: String,
    /// The secret that it is verified with.
    pub secret: String,
    /// When it was signed, in milliseconds since 1970.
    pub timestamp: String,
    /// Its `type`.
    #[serde(rename = "type")]
    pub event: String,
    /// The SHA-256 of its body, in hexadecimal digits.
    pub body_sha256: String,
    body_file: String,
    headers: BTreeMap<String, String>,
    expect: String,
}

impl WebhookFixture {
    /// All of them.
    pub fn all() -> Vec<Self> {
        #[derive(Deserialize)]
        struct Manifest {
            fixtures: Vec<WebhookFixture>,
        }
        let manifest = fs::read(folder().join("manifest.json")).unwrap();
        let Manifest { fixtures } = serde_json::from_slice(&manifest).unwrap();
        assert!(fixtures.len() >= 11);
        fixtures
    }

    /// The body, as received.
    pub fn body(&self) -> Vec<u8> {
        fs::read(folder().join(&self.body_file)).unwrap()
    }

    /// The headers, as received.
    pub fn headers(&self) -> HeaderMap {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// Whether the payment provider's SDKs accept the signature.
    pub fn is_valid(&self) -> bool {
        self.expect == "valid"
    }
}

fn folder() -> PathBuf {
    repository().join("shared/cashfree/tests/fixtures")
}
