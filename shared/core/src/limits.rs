//! Rate limits.

use std::time::Duration;

/// A rate limit of `count` in any stretch of `window`: a sliding window, not a bucket that resets on
/// the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many are allowed within the window.
    pub count: u32,
    /// The length of the window.
    pub window: Duration,
}

impl Limit {
    /// `count` per minute.
    pub const fn per_minute(count: u32) -> Self {
        Self { count, window: Duration::from_mins(1) }
    }

    /// `count` per hour.
    pub const fn per_hour(count: u32) -> Self {
        Self { count, window: Duration::from_hours(1) }
    }

    /// `count` per day.
    pub const fn per_day(count: u32) -> Self {
        Self { count, window: Duration::from_hours(24) }
    }
}

/// A limit's state after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The limit.
    pub limit: Limit,
    /// How many more are allowed now.
    pub remaining: u32,
    /// Time until one more than now is allowed.
    pub reset_after: Duration,
    /// Whether it denied this request.
    pub reached: bool,
}

impl LimitStatus {
    /// An error if the limit denied this request.
    pub fn allowed(&self) -> Result<(), LimitReached> {
        if self.reached { Err(LimitReached::new(self.limit, self.reset_after)) } else { Ok(()) }
    }
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", .retry_after.as_secs())]
pub struct LimitReached {
    /// The limit.
    pub limit: Limit,
    /// Time until the next one is allowed; whole seconds, at least one.
    pub retry_after: Duration,
}

impl LimitReached {
    /// Rounds `wait` up to whole seconds, at least one.
    pub fn new(limit: Limit, wait: Duration) -> Self {
        Self { limit, retry_after: Duration::from_secs(whole_seconds(wait).max(1)) }
    }
}

/// Rounds up, so that a client that waits exactly this long does not retry too early.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_whole_seconds_and_never_too_short() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let reached = LimitReached::new(Limit::per_minute(1), Duration::from_millis(millis));
            assert_eq!(reached.retry_after, Duration::from_secs(seconds), "{millis} ms");
        }
    }
}
