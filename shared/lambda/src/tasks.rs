//! Tasks that outlive a request's response, and are awaited.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks and can wait for them. Lambda freezes a function instance when a response has ended: a task must end
/// with its response, or tolerate a pause until the next request.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Tasks {
    /// Spawns `work`.
    #[expect(clippy::disallowed_methods, reason = "this is the place that provides spawning")]
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tracker.track_future(work));
    }

    /// Waits until all tasks have ended; more may be spawned meanwhile.
    pub async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Asks all tasks to end early with what they have (graceful shutdown).
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until tasks are asked to end early.
    pub async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }
}
