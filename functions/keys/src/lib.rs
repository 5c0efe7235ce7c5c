//! The key that a person brings for `OpenRouter`: `GET`, `PUT`, `PATCH` and `DELETE
//! /api/keys/openrouter`.
//!
//! A key comes in with `PUT` and never goes out: answers show its last four characters. What happens to
//! it on its way into the database is in `put_key.rs`; the turns that it pays for are `chat-stream`'s.

mod body;
mod change_key;
mod delete_key;
mod put_key;
mod show_key;
mod unreadable;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use shared_cache::Cache;
use shared_core::keys::KeyError;
use shared_core::plans::Plans;
use shared_core::session::SessionError;
use shared_http::{AppContext, Tokens};
use shared_openrouter::OpenRouter;
use shared_postgres::{Database, DatabaseError};
use shared_vault::Vault;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A key has some hundred bytes.
const BODY_LIMIT_BYTES: usize = 8 * 1024;

/// What this function works with.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Time and chance.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// For limits.
    pub cache: Cache,
    /// Keys, sealed.
    pub database: Database,
    /// Says what a key is worth. Needs no key of the platform's.
    pub openrouter: OpenRouter,
    /// Seals keys.
    pub vault: Vault,
    /// How often users may change their key.
    pub plans: Arc<Plans>,
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
    app.wrap(routes.layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)).with_state(deps))
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Deps> {
    OpenApiRouter::new().routes(routes!(
        show_key::show_key,
        put_key::put_key,
        change_key::change_key,
        delete_key::delete_key
    ))
}

/// What the database's errors mean for a key.
fn key_error(error: DatabaseError) -> KeyError {
    match error {
        DatabaseError::SessionEnded => SessionError::Ended.into(),
        DatabaseError::ChatNotFound
        | DatabaseError::MessageNotFound
        | DatabaseError::MessageExists
        | DatabaseError::TurnRunning(_)
        | DatabaseError::DuplicateTurn
        | DatabaseError::PaymentDenied(_)
        | DatabaseError::AnswerNotOpen
        | DatabaseError::AnswerGone
        | DatabaseError::Unavailable(_) => unavailable(error),
    }
}

/// A system that this needs is away.
fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> KeyError {
    KeyError::Unavailable(error.into())
}
