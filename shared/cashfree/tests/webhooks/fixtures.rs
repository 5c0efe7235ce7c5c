//! Deliveries of each kind, signed, with the verdict of Cashfree's own SDKs (`tests/fixtures`).

use jiff::{SignedDuration, Timestamp};
use shared_cashfree::{Delivery, Freshness, SignatureError, WebhookSecrets};
use testkit::WebhookFixture;

fn verdict(fixture: &WebhookFixture, later: SignedDuration) -> Result<Freshness, SignatureError> {
    let signed_at = Timestamp::from_millisecond(fixture.timestamp.parse().unwrap()).unwrap();
    let secrets = WebhookSecrets::new(["another_secret", &fixture.secret]);
    secrets.verify(&fixture.headers(), &fixture.body(), signed_at + later)
}

/// The body of a fixture, by its number.
pub(crate) fn body(number: &str) -> Vec<u8> {
    WebhookFixture::all().iter().find(|fixture| fixture.name.starts_with(number)).unwrap().body()
}

#[test]
fn each_fixture_gets_the_verdict_of_its_manifest() {
    for fixture in WebhookFixture::all() {
        let [fresh, stale] = if fixture.is_valid() {
            [Ok(Freshness::Fresh), Ok(Freshness::Stale)]
        } else {
            [Err(SignatureError::Mismatch); 2]
        };
        assert_eq!(verdict(&fixture, SignedDuration::from_secs(2)), fresh, "{}", fixture.name);
        assert_eq!(verdict(&fixture, SignedDuration::from_mins(30)), stale, "{}", fixture.name);
    }
}

#[test]
fn each_fixture_is_read_as_its_event() {
    for fixture in WebhookFixture::all() {
        let delivery = Delivery::read(&fixture.body());
        assert_eq!(delivery.event, fixture.event, "{}", fixture.name);
        assert_eq!(delivery.body_sha256, fixture.body_sha256, "{}", fixture.name);
        assert!(delivery.event_time.is_some(), "{}", fixture.name);
    }
}
