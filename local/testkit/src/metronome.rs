//! Measures the scheduling delay of a busy machine.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::sleep;

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

/// A stopwatch for an absolute upper bound, where neither the order of events nor a baseline measured in the
/// same test can replace it. It knows how late timers were since its start, and leaves that out.
///
/// On an idle machine they are hardly late: there, what is too slow fails. On a busy one they excuse waits
/// fully but computing only in part, because a thread that mostly sleeps gets its turn sooner than one that
/// computes; so a bound is a few times of what the work takes.
///
/// Its probe is a thread: code that blocks the test's runtime delays no thread, and is not excused.
#[derive(Debug)]
pub struct Stopwatch {
    began: Instant,
    probe: Arc<Mutex<Probe>>,
    /// Dropped with the stopwatch, which ends the thread.
    _running: mpsc::Sender<Infallible>,
}

#[derive(Debug)]
struct Probe {
    /// The sum of the delays of all beats before this one.
    late: Duration,
    /// When the current beat is due.
    due: Instant,
}

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Self {
        let began = Instant::now();
        let probe = Arc::new(Mutex::new(Probe { late: Duration::ZERO, due: began + BEAT }));
        let (running, stopped) = mpsc::channel::<Infallible>();
        let beating = Arc::clone(&probe);
        thread::spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
                let mut probe = lock(&beating);
                let now = Instant::now();
                let late = now.saturating_duration_since(probe.due);
                probe.late += late;
                probe.due = now + BEAT;
            }
        });
        Self { began, probe, _running: running }
    }

    /// The time since the start, for a lower bound: lateness only adds to it.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The time since the start without the delays of timers, for an upper bound. Never decreases.
    pub fn elapsed_on_time(&self) -> Duration {
        let probe = lock(&self.probe);
        let now = Instant::now();
        // The current beat may be late as well, and its thread still waits to run.
        let late = probe.late + now.saturating_duration_since(probe.due);
        now.duration_since(self.began).saturating_sub(late)
    }
}

fn lock(probe: &Mutex<Probe>) -> MutexGuard<'_, Probe> {
    probe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_no_timer_is_late_by_counts() {
        let watch = Stopwatch::start();
        // Ends, because some beats are on time also on a busy machine.
        while watch.elapsed_on_time() < BEAT * 10 {
            thread::sleep(BEAT);
        }
        assert!(watch.elapsed() >= BEAT * 10);
    }

    #[test]
    fn the_delay_of_a_timer_does_not_count() {
        let watch = Stopwatch::start();
        let late = lock(&watch.probe);
        thread::sleep(BEAT * 20);
        drop(late);
        assert!(watch.elapsed_on_time() <= BEAT * 10, "{watch:?}");
    }
}
