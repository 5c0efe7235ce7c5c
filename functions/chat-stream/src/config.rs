//! The variables that only this function reads.

use std::time::Duration;

use shared_core::env::{ConfigError, Env};

const DEFAULT_SYSTEM_PROMPT: &str = "You are a helpful assistant. Answer in the language of the question. \
Use Markdown where it helps: code in fenced blocks, tables for comparisons.";

/// Limits and the system prompt.
#[derive(Debug, Clone)]
pub struct ChatConfig {
    /// `SYSTEM_PROMPT`: what every model is told first.
    pub system_prompt: String,
    /// `BODY_LIMIT_BYTES`: how large a request may be, 1 MiB by default; the AI SDK's client sends
    /// the whole history along.
    pub body_limit: usize,
    /// `HEARTBEAT_SECONDS`: a stream that is silent for this long says that it is still there, 10 s
    /// by default.
    pub heartbeat: Duration,
    /// `TURN_SECONDS`: how long a turn may take from question to last word, 280 s by default; Lambda ends
    /// the function at 300.
    pub longest_turn: Duration,
}

impl ChatConfig {
    /// Reads the variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            system_prompt: env
                .optional("SYSTEM_PROMPT")
                .unwrap_or_else(|| DEFAULT_SYSTEM_PROMPT.to_owned()),
            body_limit: env.parsed("BODY_LIMIT_BYTES", 1024 * 1024)?,
            heartbeat: env.seconds("HEARTBEAT_SECONDS", 10)?,
            longest_turn: env.seconds("TURN_SECONDS", 280)?,
        })
    }
}
