//! The server's state: secrets, caches, keys, calls, and scripted failures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::Trouble;
use crate::caches::Cache;
use crate::keys::{Key, KeyState};
use crate::secrets::{Content, Secret};

/// A recorded call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The operation, such as `BatchGetSecretValue`.
    pub operation: String,
    /// The region that its signature names; empty for an unsigned request.
    pub region: String,
    /// Its parameters, by name.
    pub parameters: Value,
}

#[derive(Default)]
pub(crate) struct Memory {
    secrets: Mutex<BTreeMap<String, Secret>>,
    caches: Mutex<BTreeMap<String, Cache>>,
    keys: Mutex<BTreeMap<String, Key>>,
    calls: Mutex<Vec<Call>>,
    script: Mutex<VecDeque<Trouble>>,
}

impl Memory {
    pub(crate) fn put_secret(&self, name: &str, content: Content) -> String {
        let secret = Secret::new(name, content);
        let arn = secret.arn.clone();
        locked(&self.secrets).insert(name.to_owned(), secret);
        arn
    }

    /// The secret with this name, ARN, or ARN without its suffix.
    pub(crate) fn secret(&self, id: &str) -> Option<Secret> {
        locked(&self.secrets).values().find(|secret| secret.is(id)).cloned()
    }

    pub(crate) fn put_cache(&self, name: &str, status: &str, (host, port): (&str, u16)) {
        let cache = Cache { name: name.into(), status: status.into(), host: host.into(), port };
        locked(&self.caches).insert(name.to_owned(), cache);
    }

    /// All caches, or the one called `name`.
    pub(crate) fn caches(&self, name: Option<&str>) -> Vec<Cache> {
        let caches = locked(&self.caches);
        caches
            .values()
            .filter(|cache| name.is_none_or(|name| cache.name == name))
            .cloned()
            .collect()
    }

    pub(crate) fn put_key(&self, id: &str) -> String {
        let key = Key::new(id);
        let arn = key.arn.clone();
        locked(&self.keys).insert(arn.clone(), key);
        arn
    }

    pub(crate) fn set_key_state(&self, arn: &str, state: KeyState) {
        if let Some(key) = locked(&self.keys).get_mut(arn) {
            key.state = state;
        }
    }

    pub(crate) fn key(&self, arn: &str) -> Option<Key> {
        locked(&self.keys).get(arn).cloned()
    }

    pub(crate) fn script(&self, calls: usize, trouble: &Trouble) {
        locked(&self.script).extend(std::iter::repeat_n(trouble, calls).cloned());
    }

    pub(crate) fn next_trouble(&self) -> Option<Trouble> {
        locked(&self.script).pop_front()
    }

    pub(crate) fn remember(&self, call: Call) {
        locked(&self.calls).push(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.calls).clone()
    }
}

/// Ignores poisoning: no panic can leave the data under these locks half updated.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
