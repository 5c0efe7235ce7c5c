//! The service behind the API: queued events, and running invocations.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use uuid::Uuid;

use crate::invocation::{FunctionError, Invocation, InvocationError, Running, invocation};

/// A queued event, which no environment has taken yet.
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) event: Bytes,
    running: Running,
}

pub(crate) struct Lambda {
    submit: mpsc::UnboundedSender<Waiting>,
    /// The queue of events; environments wait for its lock in turn.
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Waiting>>,
    running: Mutex<HashMap<String, Running>>,
    init_errors: Mutex<Vec<FunctionError>>,
    idle: watch::Sender<usize>,
}

impl Lambda {
    pub(crate) fn new() -> Self {
        let (submit, waiting) = mpsc::unbounded_channel();
        Self {
            submit,
            waiting: AsyncMutex::new(waiting),
            running: Mutex::default(),
            init_errors: Mutex::default(),
            idle: watch::Sender::new(0),
        }
    }

    pub(crate) fn invoke(&self, event: Bytes) -> Invocation {
        let id = request_id();
        let (invocation, running) = invocation(id.clone());
        // Fails only when the receiver is gone, and `self` holds it.
        let _ = self.submit.send(Waiting { id, event, running });
        invocation
    }

    /// Returns the next event to an environment. Cancel safe: no event is lost.
    pub(crate) async fn next(&self) -> Option<(String, Bytes)> {
        let _idle = Idle::begin(&self.idle);
        let mut waiting = self.waiting.lock().await;
        let Waiting { id, event, running } = waiting.recv().await?;
        lock(&self.running).insert(id.clone(), running);
        Some((id, event))
    }

    /// Takes the running invocation; `None` if the id is unknown or was answered already.
    pub(crate) fn answered(&self, id: &str) -> Option<Running> {
        lock(&self.running).remove(id)
    }

    /// Fails the invocation of an environment that is gone; does nothing if it was answered.
    pub(crate) fn left(&self, id: &str) {
        if let Some(running) = self.answered(id) {
            running.end(Err(InvocationError::Left));
        }
    }

    pub(crate) fn failed_to_start(&self, error: FunctionError) {
        lock(&self.init_errors).push(error);
    }

    pub(crate) fn init_errors(&self) -> Vec<FunctionError> {
        lock(&self.init_errors).clone()
    }

    pub(crate) async fn until_idle(&self, environments: usize) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.idle.subscribe().wait_for(|idle| *idle >= environments).await;
    }
}

/// Counts an environment as idle until dropped.
struct Idle<'a>(&'a watch::Sender<usize>);

impl<'a> Idle<'a> {
    fn begin(idle: &'a watch::Sender<usize>) -> Self {
        idle.send_modify(|idle| *idle += 1);
        Self(idle)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|idle| *idle -= 1);
    }
}

/// A random UUID, as Lambda's ids are. It need not be unguessable.
fn request_id() -> String {
    let random = || RandomState::new().hash_one(0);
    let bytes = Uuid::from_u64_pair(random(), random()).into_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Ignores poisoning: no panic can leave the data under these locks half updated.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
