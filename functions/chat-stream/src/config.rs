//! The variables that only this function reads.

use std::time::Duration;

use shared_core::env::{ConfigError, Env};
use shared_openrouter::PdfEngine;

const DEFAULT_SYSTEM_PROMPT: &str = "You are a helpful assistant. Answer in the language of the question. \
Use Markdown where it helps: code in fenced blocks, tables for comparisons.";

/// Limits and the system prompt.
#[derive(Debug, Clone)]
pub struct ChatConfig {
    /// `SYSTEM_PROMPT`: the first message of every prompt.
    pub system_prompt: String,
    /// `BODY_LIMIT_BYTES`: the maximum size of a request body, 1 MiB by default; the AI SDK's client
    /// sends the whole history along.
    pub body_limit: usize,
    /// `PDF_ENGINE`: how `OpenRouter` reads PDFs: `cloudflare-ai` (the default, for nothing), `mistral-ocr` (2 US dollars
    /// per thousand pages, also scanned ones) or `native` (the model itself).
    pub pdf_engine: PdfEngine,
    /// `KEEP_ALIVE_SECONDS`: a stream without an event for this long sends a keep-alive comment, 10 s
    /// by default.
    pub keep_alive: Duration,
    /// `TURN_SECONDS`: the deadline of a turn, from its question on, 280 s by default; Lambda's timeout of
    /// the function is 300 s.
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
            pdf_engine: env.parsed("PDF_ENGINE", PdfEngine::CloudflareAi)?,
            keep_alive: env.seconds("KEEP_ALIVE_SECONDS", 10)?,
            longest_turn: env.seconds("TURN_SECONDS", 280)?,
        })
    }
}
