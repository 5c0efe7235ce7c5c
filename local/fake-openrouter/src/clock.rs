//! The one place that reads the clock.

/// Now, for `created`, `created_at` and the reset of a rate limit. No behaviour of the fake depends on it, so
/// no test has to control it.
#[expect(clippy::disallowed_methods, reason = "the place that provides the time in this crate")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
