//! Configuration: `OpenRouter`'s URL, the platform's key and timeouts.

use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use shared_core::env::{ConfigError, Env};

/// Configuration of [`OpenRouter`](crate::OpenRouter).
#[derive(Debug, Clone)]
pub struct OpenRouterConfig {
    /// `OPENROUTER_BASE_URL`: `https://openrouter.ai/api/v1` by default.
    pub base_url: String,
    /// `OPENROUTER_API_KEY`: the platform's key. Without it, only users' own keys (BYOK) pay.
    pub api_key: Option<SecretString>,
    /// `APP_ORIGIN`: attributes requests to the app. Optional for processes that ask no model.
    pub app_origin: Option<String>,
    /// `MODEL_IDLE_TIMEOUT_SECONDS`: idle timeout of a model's stream, 60 s by default.
    pub idle_timeout: Duration,
}

/// Who turns a PDF into text, or pictures, for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PdfEngine {
    /// Its text, for nothing.
    CloudflareAi,
    /// Its text, scanned pages included, for 2 US dollars per thousand pages.
    MistralOcr,
    /// The model itself, if it can, at its own price.
    Native,
}

impl FromStr for PdfEngine {
    type Err = &'static str;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        match raw {
            "cloudflare-ai" => Ok(Self::CloudflareAi),
            "mistral-ocr" => Ok(Self::MistralOcr),
            "native" => Ok(Self::Native),
            _ => Err("cloudflare-ai, mistral-ocr or native"),
        }
    }
}

impl OpenRouterConfig {
    /// Reads the environment variables named at each field.
    pub fn from_env(env: &Env<'_>) -> Result<Self, ConfigError> {
        let api_key = Some(env.secret("OPENROUTER_API_KEY")?);
        Ok(Self { api_key, ..Self::without_key(env)? })
    }

    /// The same without the platform's key: for a function that does not need it.
    pub fn without_key(env: &Env<'_>) -> Result<Self, ConfigError> {
        let base_url = env
            .optional("OPENROUTER_BASE_URL")
            .unwrap_or_else(|| "https://openrouter.ai/api/v1".into());
        Ok(Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_key: None,
            app_origin: env.optional("APP_ORIGIN"),
            idle_timeout: env.seconds("MODEL_IDLE_TIMEOUT_SECONDS", 60)?,
        })
    }
}
