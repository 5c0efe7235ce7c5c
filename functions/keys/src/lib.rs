//! The user's own `OpenRouter` key (BYOK, bring your own key): `GET`, `PUT`, `PATCH` and `DELETE
//! /api/keys/openrouter`.
//!
//! A key comes in with `PUT` and is never returned: responses show its last four characters. How it is
//! checked, encrypted and stored is in `put_key.rs`; the turns that it pays for run in `chat-stream`.

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
use shared_core::billing::Plans;
use shared_core::keys::KeyError;
use shared_core::store::StoreError;
use shared_http::{AppContext, Tokens};
use shared_openrouter::OpenRouter;
use shared_postgres::Database;
use shared_vault::Vault;

/// A key has some hundred bytes.
const BODY_LIMIT_BYTES: usize = 8 * 1024;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// Rate limits.
    pub cache: Cache,
    /// Encrypted keys.
    pub database: Database,
    /// Checks keys. Needs no platform key.
    pub openrouter: OpenRouter,
    /// Encrypts keys.
    pub vault: Vault,
    /// Rate limits of key changes.
    pub plans: Arc<Plans>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router().layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [show_key::show_key, put_key::put_key, change_key::change_key, delete_key::delete_key],
}

/// A backend is unavailable.
fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> KeyError {
    StoreError::Unavailable(error.into()).into()
}
