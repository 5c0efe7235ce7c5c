//! Gates: what a test has seen, instead of how long it took, decides when a stream goes on.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds streams back until a test opens it, so that the test decides what happens before a frame is sent,
/// without a pause that a busy machine could outlast. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// Lets one stream pass one step, the next one that comes if none is waiting.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn passed(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

impl Default for Gate {
    /// A closed one.
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
