//! The system's clock, randomness and environment variables.

use shared_core::clock::Clock;
use shared_core::env::Env;
use shared_core::random::Entropy;

/// The system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the place that provides the clock")]
pub fn system_clock() -> Clock {
    Clock::new(jiff::Timestamp::now)
}

/// The system's random source.
///
/// # Panics
///
/// When the kernel has no randomness to give, which on Linux ends with early boot: nothing that is
/// guessable must ever be handed out instead.
#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "this is the place that provides randomness"
)]
pub fn system_entropy() -> Entropy {
    Entropy::new(|bytes| getrandom::fill(bytes).expect("the system has randomness"))
}

/// The variables of this process.
pub fn process_env() -> Env<'static> {
    Env::new(|variable| std::env::var(variable).ok())
}
