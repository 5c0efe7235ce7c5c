//! A clock that only tests advance.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use shared_core::clock::Clock;

/// The real time of its creation, plus what a test has added since. It does not run by itself.
#[derive(Clone, Debug)]
pub struct MovableClock(Arc<AtomicI64>);

impl MovableClock {
    /// A clock that shows the present time.
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(shared_lambda::system_clock().now().as_microsecond())))
    }

    /// Advances the time.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("a test's durations are short");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the time to `at`.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_microsecond(), Ordering::SeqCst);
    }

    /// The time shown.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// The clock in the form that an app takes.
    pub fn clock(&self) -> Clock {
        let micros = Arc::clone(&self.0);
        Clock::new(move || {
            Timestamp::from_microsecond(micros.load(Ordering::SeqCst)).expect("a time in this era")
        })
    }
}

impl Default for MovableClock {
    fn default() -> Self {
        Self::new()
    }
}
