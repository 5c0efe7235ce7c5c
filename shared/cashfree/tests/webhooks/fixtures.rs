//! Deliveries of each kind, signed, with the verdict of Cashfree's own SDKs (`tests/fixtures`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use shared_cashfree::{Delivery, Freshness, SignatureError, WebhookSecrets};

#[derive(Deserialize)]
struct Manifest {
    fixtures: Vec<Fixture>,
}

#[derive(Deserialize)]
struct Fixture {
    name: String,
    body_file: String,
    body_sha256: String,
    secret: String,
    timestamp: String,
    #[serde(rename = "type")]
    event: String,
    headers: BTreeMap<String, String>,
    expect: String,
}

impl Fixture {
    fn body(&self) -> Vec<u8> {
        fs::read(directory().join(&self.body_file)).unwrap()
    }

    fn verdict(&self, later: SignedDuration) -> Result<Freshness, SignatureError> {
        let headers: HeaderMap = self
            .headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let signed_at = Timestamp::from_millisecond(self.timestamp.parse().unwrap()).unwrap();
        let secrets = WebhookSecrets::new(["another_secret", &self.secret]);
        secrets.verify(&headers, &self.body(), signed_at + later)
    }
}

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

fn fixtures() -> Vec<Fixture> {
    let manifest = fs::read_to_string(directory().join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
    assert!(manifest.fixtures.len() >= 11);
    manifest.fixtures
}

/// The body of a fixture, by its number.
pub(crate) fn body(number: &str) -> Vec<u8> {
    fixtures().iter().find(|fixture| fixture.name.starts_with(number)).unwrap().body()
}

#[test]
fn each_fixture_gets_the_verdict_of_its_manifest() {
    for fixture in fixtures() {
        let [fresh, stale] = if fixture.expect == "valid" {
            [Ok(Freshness::Fresh), Ok(Freshness::Stale)]
        } else {
            [Err(SignatureError::Mismatch); 2]
        };
        assert_eq!(fixture.verdict(SignedDuration::from_secs(2)), fresh, "{}", fixture.name);
        assert_eq!(fixture.verdict(SignedDuration::from_mins(30)), stale, "{}", fixture.name);
    }
}

#[test]
fn each_fixture_is_read_as_its_event() {
    for fixture in fixtures() {
        let delivery = Delivery::read(&fixture.body());
        assert_eq!(delivery.event, fixture.event, "{}", fixture.name);
        assert_eq!(delivery.body_sha256, fixture.body_sha256, "{}", fixture.name);
        assert!(delivery.event_time.is_some(), "{}", fixture.name);
    }
}
