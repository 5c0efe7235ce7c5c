//! The live log of a bare turn, written by the product's log writer.

use chat_stream::live::writer::LogWriter;
use shared_cache::{Cache, CacheConfig};
use shared_core::env::Env;
use shared_core::ids::UserId;
use shared_http::{AppContext, HttpConfig};
use shared_lambda::{Tasks, system_clock, system_entropy};
use shared_ui_stream::FrameWriter;

use crate::Result;

/// The dependencies of a log writer.
#[derive(Clone)]
pub(crate) struct Recording {
    cache: Cache,
    tasks: Tasks,
    app: AppContext,
}

impl Recording {
    /// Reads the product's variables.
    pub(crate) fn new(env: &Env<'_>) -> Result<Self> {
        Ok(Self {
            cache: Cache::new(&CacheConfig::from_env(env)?, system_clock())?,
            tasks: Tasks::default(),
            app: AppContext::new(&HttpConfig::from_env(env)?, system_clock(), system_entropy()),
        })
    }

    /// Starts the log of a turn.
    pub(crate) fn begin(&self) -> TurnLog {
        let id = self.app.entropy().uuid(self.app.clock().now());
        let answer = id.into();
        let (writer, frames) =
            LogWriter::start(&self.cache, &self.tasks, &self.app, UserId(id), &answer);
        writer.identify("gen-bench");
        TurnLog { frames, writer, last: 0 }
    }
}

/// The live log of one turn.
pub(crate) struct TurnLog {
    frames: FrameWriter,
    writer: LogWriter,
    last: u64,
}

impl TurnLog {
    /// Appends `count` frames.
    pub(crate) fn append(&mut self, frames: &[u8], count: u64) {
        let first = self.last + 1;
        self.last += count;
        self.frames.append(first, self.last, frames);
    }

    /// Ends the log after the last frame.
    pub(crate) async fn finish(self) {
        drop(self.frames);
        self.writer.finish().await;
    }
}
