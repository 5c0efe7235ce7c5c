//! `OpenRouter`: the only place that knows how models are reached.
//!
//! [`OpenRouter::complete`] sends a prompt and, once the provider has accepted it, gives a [`ModelStream`]
//! that yields what the model says, as [`ModelEvent`](shared_core::answer::ModelEvent)s. Protocol as
//! documented at <https://openrouter.ai/docs/api-reference/streaming>.
//!
//! The platform's key pays, or a person's own where the [`CompletionRequest`] brings one. [`OpenRouter::check_key`]
//! says what `OpenRouter` knows of such a key, and [`OpenRouter::generation`] what an answer took that
//! was not heard to its end.

mod api_response;
mod chunk;
mod client;
mod config;
mod error;
mod generation;
mod key;
mod models;
mod sse;
mod stream;

pub use client::{CompletionRequest, OpenRouter};
pub use config::OpenRouterConfig;
pub use generation::LookupError;
pub use models::ListError;
pub use sse::SseParser;
pub use stream::{ModelStream, Received};
