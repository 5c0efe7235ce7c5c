//! The clock, as a value that is passed in: tests move it instead of sleeping.
//!
//! The system's clock is created in `shared_lambda::system_clock`; `clippy.toml` forbids reading it anywhere
//! else.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Returns the current time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that calls `now` on each read.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
