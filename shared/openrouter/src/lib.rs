//! Client of `OpenRouter`, the only crate that talks to a model provider.
//!
//! [`OpenRouter::complete`] sends a prompt and, once the provider has accepted it, returns a [`ModelStream`]
//! that yields the answer as [`ModelEvent`](shared_core::chat::ModelEvent)s. Protocol as documented at
//! <https://openrouter.ai/docs/api-reference/streaming>.
//!
//! The platform's key pays, or the user's own (BYOK) where the [`CompletionRequest`] has one.
//! [`OpenRouter::check_key`] checks such a key, and [`OpenRouter::generation`] looks up the usage of an
//! answer that was not read to its end (backfill).

mod api_response;
mod catalogue;
mod chunk;
mod client;
mod config;
mod error;
mod generation;
mod key;
mod models;
mod sse;
mod stream;

pub use catalogue::Catalogue;
pub use client::{CompletionRequest, OpenRouter};
pub use config::{OpenRouterConfig, PdfEngine};
pub use generation::LookupError;
pub use models::ListError;
pub use sse::SseParser;
pub use stream::{ModelStream, Received};
