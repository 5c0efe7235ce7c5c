//! How often something may be done.

use std::time::Duration;

/// At most `count` times in any stretch of `window`: a sliding window, not a bucket that empties on
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

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", .retry_after.as_secs())]
pub struct LimitReached {
    /// When the next one is allowed; whole seconds, at least one.
    pub retry_after: Duration,
}
