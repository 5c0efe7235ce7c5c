//! The one place that reads the system's clock.

/// Now, unless the [options](crate::Options) have another clock.
#[expect(clippy::disallowed_methods, reason = "the place that provides the time in this crate")]
pub(crate) fn system() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
