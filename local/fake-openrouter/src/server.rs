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
        .route("/generation", get(generation))
        .method_not_allowed_fallback(async || ApiError::plain(405, "Method Not Allowed"));
    Router::new()
        .nest("/api/v1", api)
        .fallback(async || ApiError::plain(404, "Not Found"))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(memory)
}

type Parameters = Query<HashMap<String, String>>;

/// `GET /models`: everything, or the part that `offset` and `limit` ask for. Needs no key.
async fn models(
    State(memory): State<Arc<Memory>>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, ApiError> {
    let number = |name: &str| match parameters.get(name).map(|value| value.parse::<usize>()) {
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(ApiError::typed(400, format!("Invalid {name}"), "invalid_request")),
        None => Ok(None),
    };
    let (offset, limit) = (number("offset")?, number("limit")?);
    let mut document = memory.models();
    if let Some(data) = document.get_mut("data").and_then(Value::as_array_mut) {
        data.drain(..offset.unwrap_or(0).min(data.len()));
        data.truncate(limit.unwrap_or(usize::MAX));
    }
    Ok(Json(document))
}

/// `GET /generation?id=`.
async fn generation(
    State(memory): State<Arc<Memory>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let key = Key::of(&headers, &memory)?;
    let id = parameters
        .get("id")
        .ok_or_else(|| ApiError::typed(400, "Missing id", "invalid_request"))?;
    let unknown = || ApiError::typed(404, format!("Generation {id} not found"), "not_found");
    memory.generation(id, key.text()).map(Json).ok_or_else(unknown)
}
