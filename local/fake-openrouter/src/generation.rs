//! One generation, from the request that opened it to the record that `GET /generation` shows.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalogue;
use crate::clock;
use crate::memory::Memory;
use crate::script::Usage;

/// Delay after which a cancelled answer can be looked up.
const CANCELLED_IS_KNOWN_AFTER: Duration = Duration::from_millis(500);

/// An answer in progress. Dropping it before [`end`](Self::end) records it as cancelled by the client.
pub(crate) struct Generation {
    pub(crate) identity: Identity,
    prompt_tokens: u32,
    memory: Arc<Memory>,
    /// The key that pays.
    key: String,
    opened: Instant,
    progress: Progress,
    ended: bool,
}

/// The fields that every chunk of one generation repeats.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) provider: &'static str,
    pub(crate) created: jiff::Timestamp,
}

/// Progress of an answer so far, or the progress that one part adds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) completion_tokens: u32,
    pub(crate) reasoning_tokens: u32,
    pub(crate) usage: Option<Usage>,
    pub(crate) finish_reason: Option<String>,
}

impl Progress {
    pub(crate) fn tokens(completion_tokens: u32) -> Self {
        Self { completion_tokens, ..Self::default() }
    }

    pub(crate) fn add(&mut self, step: Self) {
        self.completion_tokens = self.completion_tokens.saturating_add(step.completion_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(step.reasoning_tokens);
        self.usage = step.usage.or(self.usage);
        self.finish_reason = step.finish_reason.or_else(|| self.finish_reason.take());
    }
}

impl Generation {
    pub(crate) fn open(memory: Arc<Memory>, key: &str, model: &str, prompt_tokens: u32) -> Self {
        memory.stream_opened();
        let created = clock::now();
        let identity = Identity {
            id: memory.next_generation_id(created.as_second()),
            model: model.to_owned(),
            provider: catalogue::provider(model),
            created,
        };
        Self {
            identity,
            prompt_tokens,
            memory,
            key: key.to_owned(),
            opened: Instant::now(),
            progress: Progress::default(),
            ended: false,
        }
    }

    pub(crate) fn add(&mut self, step: Progress) {
        self.progress.add(step);
    }

    /// Whether the provider goes on after the client has disconnected.
    pub(crate) fn goes_on(&self) -> bool {
        catalogue::goes_on(&self.identity.model)
    }

    /// Usage and cost so far: the script's own numbers, or else priced by the catalogue.
    fn usage(&self) -> Usage {
        let Progress { completion_tokens, reasoning_tokens, .. } = self.progress;
        self.progress.usage.unwrap_or(Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens,
            reasoning_tokens,
            cached_tokens: 0,
            cost: Some(self.cost_so_far()),
        })
    }

    /// `OpenRouter` charges nothing for an answer that failed, or that has neither a token nor a
    /// finish reason.
    fn cost_so_far(&self) -> f64 {
        let Progress { completion_tokens, finish_reason, .. } = &self.progress;
        match finish_reason.as_deref() {
            Some("error") => 0.0,
            None if *completion_tokens == 0 => 0.0,
            _ => catalogue::cost(&self.identity.model, self.prompt_tokens, *completion_tokens),
        }
    }

    /// Records the answer as complete. Called before its last bytes are sent, so that a client that has read
    /// them finds the record and no open stream.
    pub(crate) fn end(&mut self) {
        self.close(false);
    }

    fn close(&mut self, cancelled: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.memory.remember_generation(self.record(cancelled));
        self.memory.stream_closed(cancelled);
    }

    fn record(&self, cancelled: bool) -> Record {
        Record {
            identity: self.identity.clone(),
            key: self.key.clone(),
            shown_from: Instant::now()
                + if cancelled { CANCELLED_IS_KNOWN_AFTER } else { Duration::ZERO },
            usage: self.usage(),
            finish_reason: self.progress.finish_reason.clone(),
            cancelled,
            generation_ms: u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.close(true);
    }
}

/// A finished or cancelled generation.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    identity: Identity,
    key: String,
    shown_from: Instant,
    usage: Usage,
    finish_reason: Option<String>,
    cancelled: bool,
    generation_ms: u64,
}

impl Record {
    /// Whether `GET /generation` finds it yet.
    pub(crate) fn is_shown(&self, id: &str, key: &str) -> bool {
        self.identity.id == id && self.key == key && self.shown_from <= Instant::now()
    }

    /// The response body of `GET /generation`.
    pub(crate) fn document(&self) -> Value {
        let Self { identity, usage, .. } = self;
        json!({ "data": {
            "id": identity.id,
            "upstream_id": null,
            "model": identity.model,
            "provider_name": identity.provider,
            "created_at": identity.created.to_string(),
            "total_cost": usage.cost.unwrap_or_default(),
            "usage": usage.cost.unwrap_or_default(),
            "upstream_inference_cost": null,
            "cache_discount": null,
            "is_byok": false,
            "app_id": null,
            "origin": "",
            "streamed": true,
            "cancelled": self.cancelled,
            "latency": null,
            "moderation_latency": null,
            "generation_time": self.generation_ms,
            "finish_reason": self.finish_reason,
            "native_finish_reason": self.finish_reason,
            "tokens_prompt": usage.prompt_tokens,
            "tokens_completion": usage.completion_tokens,
            "native_tokens_prompt": usage.prompt_tokens,
            "native_tokens_completion": usage.completion_tokens,
            "native_tokens_reasoning": usage.reasoning_tokens,
            "native_tokens_cached": usage.cached_tokens,
            "num_media_prompt": null,
            "num_media_completion": null,
            "num_search_results": null,
        }})
    }
}
