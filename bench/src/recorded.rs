//! The live log of a bare turn, written by the product's recorder.

use chat_stream::recorder::Recorder;
use shared_cache::{Cache, CacheConfig};
use shared_core::env::Env;
use shared_http::{Edge, EdgeConfig, Tasks, Transcript, system_clock, system_entropy};

use crate::Result;

/// What a recorder needs.
#[derive(Clone)]
pub(crate) struct Recording {
    cache: Cache,
    tasks: Tasks,
    edge: Edge,
}

impl Recording {
    /// Reads the product's variables.
    pub(crate) fn new(env: &Env<'_>) -> Result<Self> {
        Ok(Self {
            cache: Cache::new(&CacheConfig::from_env(env)?, system_clock())?,
            tasks: Tasks::default(),
            edge: Edge::new(&EdgeConfig::from_env(env)?, system_clock(), system_entropy()),
        })
    }

    /// Begins the log of a turn.
    pub(crate) fn begin(&self) -> Told {
        let answer = self.edge.entropy().uuid(self.edge.clock().now()).into();
        let recorder = Recorder::start(&self.cache, &self.tasks, &self.edge, &answer);
        recorder.identify("gen-bench");
        Told { transcript: recorder.transcript(), recorder, last: 0 }
    }
}

/// What the reader was told, for the live log.
pub(crate) struct Told {
    transcript: Transcript,
    recorder: Recorder,
    last: u64,
}

impl Told {
    /// Adds frames, and how many they are.
    pub(crate) fn append(&mut self, frames: &[u8], count: u64) {
        let first = self.last + 1;
        self.last += count;
        self.transcript.append(first, self.last, frames);
    }

    /// The reader was told all of it.
    pub(crate) async fn finish(self) {
        self.recorder.finish().await;
    }
}
