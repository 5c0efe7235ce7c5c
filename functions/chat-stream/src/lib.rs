//! `POST /api/chat`: one turn, from the question to the end of the answer, as a stream; and beside it
//! resuming a running turn (`GET /api/chat/{id}/stream`) and stopping it (`POST /api/chat/{id}/stop`).
//!
//! Start reading at [`turn`], which writes the live log; `live::reader` follows it.

mod config;
mod live;
mod routes;
pub mod turn;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use shared_cache::Cache;
use shared_core::billing::Plans;
use shared_core::models::ModelTable;
use shared_files::Files;
use shared_http::{AppContext, Tokens};
use shared_inbox::Inbox;
use shared_lambda::Tasks;
use shared_openrouter::{Catalogue, OpenRouter};
use shared_postgres::Database;
use shared_ui_stream::MessageMetadata;
use shared_vault::Vault;

use self::routes::{resume, send, stop};

pub use config::ChatConfig;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// Rate limits and live logs.
    pub cache: Cache,
    /// Chats and messages.
    pub database: Database,
    /// Holds finished turns while the database is unavailable.
    pub inbox: Inbox,
    /// The model provider.
    pub openrouter: OpenRouter,
    /// Files of questions.
    pub files: Files,
    /// What the offered models can read.
    pub catalogue: Arc<Catalogue>,
    /// Which models are offered.
    pub table: Arc<ModelTable>,
    /// The plans and their limits.
    pub plans: Arc<Plans>,
    /// Decrypts users' own keys (BYOK).
    pub vault: Vault,
    /// Runs turns, which go on after their client has disconnected.
    pub tasks: Tasks,
    /// Limits and the system prompt.
    pub config: Arc<ChatConfig>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    let body_limit = DefaultBodyLimit::max(deps.config.body_limit);
    shared_http::app(router().layer(body_limit), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [send::send, resume::resume, stop::stop],
    // Inside event streams, which `OpenAPI` cannot describe: the routes' descriptions name it.
    schemas: [MessageMetadata<'static>],
}
