//! The server's state: scripts, requests, generations, open streams, the model list, and revoked keys.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::catalogue;
use crate::generation::Record;
use crate::request::RecordedRequest;
use crate::script::Script;

/// Maximum number of requests and generations that are kept: far more than a test reads, and little enough
/// for `make dev`, which may run for days.
const KEPT: usize = 10_000;

pub(crate) struct Memory {
    scripts: Mutex<HashMap<String, Script>>,
    requests: Mutex<VecDeque<RecordedRequest>>,
    generations: Mutex<VecDeque<Record>>,
    /// The body of `GET /models`; `None` if it is never answered.
    models: Mutex<Option<Value>>,
    revoked: Mutex<HashSet<String>>,
    streams: watch::Sender<Streams>,
    /// Makes generation ids unique across runs: a database may still hold those of an earlier run.
    run: u64,
    generation_count: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Streams {
    pub(crate) active: usize,
    pub(crate) dropped: usize,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            scripts: Mutex::default(),
            requests: Mutex::default(),
            generations: Mutex::default(),
            models: Mutex::new(Some(catalogue::document())),
            revoked: Mutex::default(),
            streams: watch::Sender::default(),
            // The hasher's random seed: enough randomness, without a dependency.
            run: RandomState::new().hash_one(0),
            generation_count: AtomicU64::new(0),
        }
    }

    pub(crate) fn next_generation_id(&self, created: i64) -> String {
        let count = self.generation_count.fetch_add(1, Ordering::Relaxed);
        format!("gen-{created}-{:016x}{count:04x}", self.run)
    }

    pub(crate) fn set_script(&self, model: String, script: Script) {
        locked(&self.scripts).insert(model, script);
    }

    pub(crate) fn script(&self, model: &str) -> Option<Script> {
        locked(&self.scripts).get(model).cloned()
    }

    pub(crate) fn remember_request(&self, request: RecordedRequest) {
        push_bounded(&self.requests, request);
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        locked(&self.requests).iter().cloned().collect()
    }

    pub(crate) fn remember_generation(&self, record: Record) {
        push_bounded(&self.generations, record);
    }

    pub(crate) fn generation(&self, id: &str, key: &str) -> Option<Value> {
        let generations = locked(&self.generations);
        generations.iter().find(|record| record.is_shown(id, key)).map(Record::document)
    }

    pub(crate) fn set_models(&self, models: Option<Value>) {
        *locked(&self.models) = models;
    }

    pub(crate) fn models(&self) -> Option<Value> {
        locked(&self.models).clone()
    }

    pub(crate) fn revoke(&self, key: String) {
        locked(&self.revoked).insert(key);
    }

    pub(crate) fn is_revoked(&self, key: &str) -> bool {
        locked(&self.revoked).contains(key)
    }

    pub(crate) fn stream_opened(&self) {
        self.streams.send_modify(|streams| streams.active += 1);
    }

    pub(crate) fn stream_closed(&self, dropped: bool) {
        self.streams.send_modify(|streams| {
            streams.active = streams.active.saturating_sub(1);
            streams.dropped += usize::from(dropped);
        });
    }

    pub(crate) fn streams(&self) -> Streams {
        *self.streams.borrow()
    }

    pub(crate) fn watch_streams(&self) -> watch::Receiver<Streams> {
        self.streams.subscribe()
    }
}

fn push_bounded<T>(list: &Mutex<VecDeque<T>>, item: T) {
    let mut list = locked(list);
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

/// Ignores poisoning: no panic can leave the data under these locks half updated.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
