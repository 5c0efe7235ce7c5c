//! The cache of data keys that this process has unwrapped.
//!
//! KMS bills each call and takes some ten milliseconds for it, so concurrent requests for a key share
//! one call (single flight), and its failure too, instead of queueing behind it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use shared_core::keys::WrappedKey;

use crate::cipher::Cipher;
use crate::error::VaultError;

/// The cache's capacity. One key serves a whole deployment; others come with key rotation.
const KEPT: usize = 16;

type Unwrapping = BoxFuture<'static, Result<Cipher, VaultError>>;

/// Cached by the whole wrapped key, not by its id: a modified row is not the key that was unwrapped,
/// and nothing must be encrypted under a key that its row cannot restore.
#[derive(Default)]
pub(crate) struct DataKeys(Mutex<State>);

#[derive(Default)]
struct State {
    /// Least recently used first.
    kept: VecDeque<(WrappedKey, Cipher)>,
    /// Calls in flight, held weakly so that each ends with its last waiter: a call that is no longer
    /// polled would have timed out by the time the next waiter polls it.
    coming: Vec<(WrappedKey, WeakShared<Unwrapping>)>,
}

impl DataKeys {
    /// Returns the data key of `key`, from the cache or from `unwrap`.
    pub(crate) async fn get<F>(
        self: &Arc<Self>,
        key: &WrappedKey,
        unwrap: impl FnOnce() -> F,
    ) -> Result<Cipher, VaultError>
    where
        F: Future<Output = Result<Cipher, VaultError>> + Send + 'static,
    {
        let coming = {
            let mut state = self.state();
            if let Some(cipher) = state.kept(key) {
                return Ok(cipher);
            }
            state.coming(key).unwrap_or_else(|| {
                let unwrapping = Arc::clone(self).unwrap_and_keep(key.clone(), unwrap());
                let unwrapping = unwrapping.boxed().shared();
                state.coming.extend(unwrapping.downgrade().map(|weak| (key.clone(), weak)));
                unwrapping
            })
        };
        coming.await
    }

    /// Caches a key that was generated here.
    pub(crate) fn keep(&self, key: WrappedKey, cipher: Cipher) {
        self.state().keep(key, cipher);
    }

    async fn unwrap_and_keep(
        self: Arc<Self>,
        key: WrappedKey,
        unwrap: impl Future<Output = Result<Cipher, VaultError>>,
    ) -> Result<Cipher, VaultError> {
        let unwrapped = unwrap.await;
        let mut state = self.state();
        state.coming.retain(|(coming, _)| *coming != key);
        if let Ok(cipher) = &unwrapped {
            state.keep(key, cipher.clone());
        }
        unwrapped
    }

    /// Ignores poisoning: a panic cannot leave the state half updated.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kept(&mut self, key: &WrappedKey) -> Option<Cipher> {
        let place = self.kept.iter().position(|(kept, _)| kept == key)?;
        let (key, cipher) = self.kept.remove(place)?;
        self.kept.push_back((key, cipher.clone()));
        Some(cipher)
    }

    fn keep(&mut self, key: WrappedKey, cipher: Cipher) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((key, cipher));
    }

    fn coming(&mut self, key: &WrappedKey) -> Option<Shared<Unwrapping>> {
        self.coming.retain(|(_, unwrapping)| unwrapping.upgrade().is_some());
        let (_, unwrapping) = self.coming.iter().find(|(coming, _)| coming == key)?;
        unwrapping.upgrade()
    }
}
