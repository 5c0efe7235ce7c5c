//! The routes.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::HeaderMap;
use serde_json::Value;

use crate::account::{self, Key};
use crate::completions;
use crate::errors::ApiError;
use crate::memory::Memory;

/// Room for a prompt with attached files.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

pub(crate) fn router(memory: Arc<Memory>) -> Router {
    let api = Router::new()
        .route("/chat/completions", post(completions::complete))
        .route("/models", get(models))
        .route("/key", get(account::key))
        .route("/generation", get(generation));
    Router::new().nest("/api/v1", api).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(memory)
}

/// `GET /models`: the full list, as without `offset` and `limit`. Needs no key.
async fn models(State(memory): State<Arc<Memory>>) -> Json<Value> {
    match memory.models() {
        Some(models) => Json(models),
        None => std::future::pending().await,
    }
}

/// `GET /generation?id=`.
async fn generation(
    State(memory): State<Arc<Memory>>,
    Query(parameters): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let key = Key::of(&headers, &memory)?;
    let id = parameters
        .get("id")
        .ok_or_else(|| ApiError::typed(400, "Missing id", "invalid_request"))?;
    let unknown = || ApiError::typed(404, format!("Generation {id} not found"), "not_found");
    memory.generation(id, key.text()).map(Json).ok_or_else(unknown)
}
