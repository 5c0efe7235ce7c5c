//! The one place that reads the clock.

/// Now, for `created`, `created_at` and the reset of a rate limit. Nothing the fake decides depends
/// on it, so no test has to move it.
#[expect(clippy::disallowed_methods, reason = "the place that provides the time in this crate")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
