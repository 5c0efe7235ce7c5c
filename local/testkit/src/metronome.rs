//! Measures the scheduling delay of a busy machine.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep};

const BEAT: Duration = Duration::from_millis(5);

/// Records the longest delay of a timer in this process, until the future is dropped: measurements of the
/// same time, here or in another process, are late by about that.
pub async fn metronome(late: &Cell<Duration>) -> Infallible {
    loop {
        let began = Instant::now();
        sleep(BEAT).await;
        late.set(late.get().max(began.elapsed().saturating_sub(BEAT)));
    }
}
