//! Cashfree's rate limits, as its responses tell them: a request beyond them is not sent.
//!
//! Known to one process only. Cashfree itself counts for all of them, so each learns it from a response.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};

/// The window of Cashfree's limits, and how long they are obeyed where a response gives no time.
const WINDOW: Duration = Duration::from_mins(1);
/// A longer wait than this is no rate limit, and not believed.
const LONGEST: Duration = Duration::from_hours(1);

/// Requests that share a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Group {
    Create,
    Order,
    Terminate,
    Payments,
}

const GROUPS: usize = 4;

/// Until when each group is not asked.
#[derive(Debug, Default)]
pub(crate) struct RateLimits(Mutex<[Option<Timestamp>; GROUPS]>);

impl RateLimits {
    /// How long to wait before the next request of this group, if at all.
    pub(crate) fn wait(&self, group: Group, now: Timestamp) -> Option<Duration> {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner)[group as usize]?;
        let wait = Duration::try_from(until.duration_since(now)).ok()?;
        // Whole seconds, as `retry-after` needs them.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Remembers what a response says of the group's limit.
    pub(crate) fn note(
        &self,
        group: Group,
        status: StatusCode,
        headers: &HeaderMap,
        now: Timestamp,
    ) {
        let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
        if !is_refused && number(headers, "x-ratelimit-remaining") != Some(0) {
            return;
        }
        let wait = wait_of(headers);
        tracing::warn!(
            upstream.status = status.as_u16(),
            upstream.retry_s = wait.as_secs(),
            ?group,
            "Cashfree's rate limit is reached"
        );
        let until = SignedDuration::try_from(wait).map(|wait| now + wait).ok();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[group as usize] = until;
    }
}

/// `x-ratelimit-retry` is documented; `retry-after` is what proxies in between send. Zero is no time: Cashfree sends it
/// with each response.
fn wait_of(headers: &HeaderMap) -> Duration {
    ["x-ratelimit-retry", "retry-after"]
        .into_iter()
        .filter_map(|name| number(headers, name))
        .map(Duration::from_secs)
        .find(|wait| !wait.is_zero() && *wait <= LONGEST)
        .unwrap_or(WINDOW)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn wait(status: u16, pairs: &[(&'static str, &str)]) -> Option<u64> {
        let (limits, now) = (RateLimits::default(), Timestamp::UNIX_EPOCH);
        let status = StatusCode::from_u16(status).unwrap();
        limits.note(Group::Order, status, &headers(pairs), now);
        assert!(limits.wait(Group::Create, now).is_none());
        limits.wait(Group::Order, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_limit_is_obeyed_for_as_long_as_the_response_says() {
        assert_eq!(wait(429, &[("x-ratelimit-retry", "7")]), Some(7));
        assert_eq!(wait(429, &[("x-ratelimit-retry", "7"), ("retry-after", "9")]), Some(7));
        assert_eq!(wait(429, &[("retry-after", "9")]), Some(9));
        let last = [("x-ratelimit-remaining", "0"), ("x-ratelimit-retry", "12")];
        assert_eq!(wait(200, &last), Some(12));
        assert_eq!(wait(500, &last), Some(12));
    }

    #[test]
    fn without_a_credible_time_it_is_a_minute() {
        for value in ["", "0", "-1", "soon", "1.5", "1790000000", "99999999999999999999"] {
            assert_eq!(wait(429, &[("x-ratelimit-retry", value)]), Some(60), "{value}");
        }
        assert_eq!(wait(429, &[]), Some(60));
    }

    #[test]
    fn a_response_below_the_limit_stops_nothing() {
        let usual = [("x-ratelimit-remaining", "29"), ("x-ratelimit-retry", "0")];
        assert_eq!(wait(200, &usual), None);
        assert_eq!(wait(200, &[("x-ratelimit-retry", "5")]), None);
        assert_eq!(wait(500, &[]), None);
    }

    #[test]
    fn a_limit_ends_with_its_time() {
        let (limits, now) = (RateLimits::default(), Timestamp::UNIX_EPOCH);
        let seven = headers(&[("x-ratelimit-retry", "7")]);
        limits.note(Group::Create, StatusCode::TOO_MANY_REQUESTS, &seven, now);
        let after = |millis| limits.wait(Group::Create, now + SignedDuration::from_millis(millis));
        assert_eq!(after(1), Some(Duration::from_secs(7)));
        assert_eq!(after(6_999), Some(Duration::from_secs(1)));
        assert_eq!(after(7_000), None);
        assert_eq!(after(60_000), None);
    }
}
