//! How late things are on a machine that is busy.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep};

const BEAT: Duration = Duration::from_millis(5);

/// Notes the longest time that a timer of this process was late, for as long as somebody waits for it: what
/// is measured meanwhile, here or in another process, is late by about that.
pub async fn metronome(late: &Cell<Duration>) -> Infallible {
    loop {
        let began = Instant::now();
        sleep(BEAT).await;
        late.set(late.get().max(began.elapsed().saturating_sub(BEAT)));
    }
}
