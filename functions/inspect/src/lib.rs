//! `POST /api/uploads/{id}/complete`: inspects a file that a user has sent: whether it is what was declared, and what is kept
//! of it.
//!
//! The only function that parses users' files, and the only one that may write where they are kept. It signs nothing, and has
//! no key but its session's.

mod complete_upload;
pub mod content;

use axum::Router;
use axum::extract::FromRef;
use shared_files::Files;
use shared_http::{AppContext, Tokens};
use shared_postgres::Database;

/// Dependencies of this function.
#[derive(Clone, Debug, FromRef)]
pub struct Deps {
    /// Clock and randomness.
    pub app: AppContext,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// Uploads, of the request's user.
    pub database: Database,
    /// Files in quarantine, and what is kept of them.
    pub files: Files,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router(), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [complete_upload::complete_upload],
}
