//! Work that outlives a request's response, and is waited for.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns work and can wait for it. A Lambda environment is frozen when a response has ended: what is
/// spawned here either ends with its response, as a turn does, or may as well end in a later one.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    hurry: CancellationToken,
}

impl Tasks {
    /// Starts `work`.
    #[expect(clippy::disallowed_methods, reason = "this is the place that provides spawning")]
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tracker.track_future(work));
    }

    /// Waits until all work has ended; more may be started meanwhile.
    pub async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Asks all work to come to an end with what it has.
    pub fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Waits until work is asked to come to an end.
    pub async fn hurried(&self) {
        self.hurry.cancelled().await;
    }
}
