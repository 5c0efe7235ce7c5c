//! Uploads: `POST` and `GET /api/uploads`, `GET` and `DELETE /api/uploads/{id}`, `GET /api/uploads/{id}/file`.
//!
//! Files go from the browser to S3 and back by URLs that are signed here; no request of this function reads or writes one.
//! What was sent is inspected by `inspect`, which decodes images: it is not here, so that this function starts fast.

mod body;
mod create_upload;
mod delete_upload;
mod download_file;
mod list_uploads;
mod show_upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use shared_cache::Cache;
use shared_core::billing::Plans;
use shared_files::Files;
use shared_http::{AppContext, Tokens};
use shared_postgres::Database;

/// A declaration has some hundred bytes, and a name of at most 4,096.
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
    /// Uploads, of the request's user.
    pub database: Database,
    /// Signs URLs.
    pub files: Files,
    /// The plans and their limits.
    pub plans: Arc<Plans>,
}

/// The function's routes, with the middleware of all functions.
pub fn app(deps: Deps) -> Router {
    shared_http::app(router().layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)), deps)
}

shared_http::routes! {
    deps: Deps,
    handlers: [
        create_upload::create_upload, list_uploads::list_uploads, show_upload::show_upload,
        download_file::download_file, delete_upload::delete_upload,
    ],
}
