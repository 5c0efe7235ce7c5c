//! `POST /api/chat`: one turn, from the question to the last word of the answer, as a stream; and beside it
//! following one that runs (`GET /api/chat/{id}/stream`) and stopping it (`POST /api/chat/{id}/stop`).
//!
//! [`turn`] is where to start reading; `follow` is the other side of what it does.

mod begin;
mod byok;
mod config;
mod deduplicate;
mod generate;
mod orphaned;
mod persist;
mod prepare;
mod reader;
mod replay;
mod request;
mod resume;
mod send;
mod stop;
mod telemetry;
pub mod turn;
mod turn_ref;
pub mod writer;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use shared_cache::Cache;
use shared_core::catalogue::ModelTable;
use shared_core::plans::Plans;
use shared_http::{AppContext, MessageMetadata, Tasks, Tokens};
use shared_inbox::Inbox;
use shared_openrouter::OpenRouter;
use shared_postgres::Database;
use shared_vault::Vault;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use config::ChatConfig;

/// What this function works with.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Time and chance.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// For limits, and what running turns say.
    pub cache: Cache,
    /// Chats and messages.
    pub database: Database,
    /// Answers that the database does not take.
    pub inbox: Inbox,
    /// The models.
    pub openrouter: OpenRouter,
    /// Which models are offered.
    pub table: Arc<ModelTable>,
    /// What users may.
    pub plans: Arc<Plans>,
    /// Opens the keys that users bring.
    pub vault: Vault,
    /// Turns go on when their reader is gone.
    pub tasks: Tasks,
    /// Limits and the system prompt.
    pub config: Arc<ChatConfig>,
}

impl FromRef<Deps> for AppContext {
    fn from_ref(deps: &Deps) -> Self {
        deps.app.clone()
    }
}

impl FromRef<Deps> for Tokens {
    fn from_ref(deps: &Deps) -> Self {
        deps.tokens.clone()
    }
}

/// The function's routes, wrapped for the wire.
pub fn app(deps: Deps) -> Router {
    let app = deps.app.clone();
    let (routes, _) = routes().split_for_parts();
    let body_limit = DefaultBodyLimit::max(deps.config.body_limit);
    app.wrap(routes.layer(body_limit).with_state(deps))
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

/// The document cannot say what is inside a stream of events: the route's words name these.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(MessageMetadata<'static>)))]
struct InTheStream;

fn routes() -> OpenApiRouter<Deps> {
    OpenApiRouter::with_openapi(InTheStream::openapi())
        .routes(routes!(send::send))
        .routes(routes!(resume::resume))
        .routes(routes!(stop::stop))
}
