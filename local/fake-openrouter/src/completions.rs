//! `POST /chat/completions`: validates the request, selects the model, and streams its answer.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::account::Key;
use crate::catalogue;
use crate::connection::Scissors;
use crate::errors::{self, ApiError};
use crate::frames::Act;
use crate::generation::Generation;
use crate::memory::Memory;
use crate::request::{Prompt, RecordedRequest};
use crate::script::Script;
use crate::{frames, models, playback};

/// Carries the generation's id before its first chunk does, also where no chunk will follow.
const GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");

pub(crate) async fn complete(
    State(memory): State<Arc<Memory>>,
    Extension(scissors): Extension<Scissors>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| ApiError::usual(rejection.status().as_u16(), ""))?;
    let body = serde_json::from_slice::<Value>(&body);
    let seen = body.as_ref().map_or(Value::Null, Value::clone);
    memory.remember_request(RecordedRequest::new(&headers, seen));

    let key = Key::of(&headers, &memory)?;
    key.may_ask()?;
    let invalid = |message: &str| ApiError::typed(400, message, "invalid_request");
    let body = body.map_err(|_| invalid("Invalid JSON in the request body"))?;
    let prompt = Prompt::read(&body)
        .ok_or_else(|| invalid("Input required: specify \"prompt\" or \"messages\""))?;
    if body["stream"] != true {
        return Err(invalid("the fake only streams"));
    }
    let model = body["model"].as_str().ok_or_else(|| not_a_model(&body["model"].to_string()))?;
    let script = memory
        .script(model)
        .or_else(|| models::script(model, &prompt))
        .ok_or_else(|| not_a_model(model))?;
    if prompt.has_images && !catalogue::reads_images(model) {
        return Err(ApiError::plain(404, "No endpoints found that support image input"));
    }
    let open = || Generation::open(Arc::clone(&memory), key.text(), model, prompt.tokens);
    match script {
        Script::Status(status) => Ok(errors::scripted(&status, model)),
        Script::Stream(stream) => {
            let generation = open();
            let acts = frames::acts(&stream, &generation.identity);
            Ok(event_stream(acts, generation, scissors))
        }
        Script::Paced { chunks, gap } => {
            let generation = open();
            let usage = models::usage(model, prompt.tokens, chunks);
            let acts = frames::paced(chunks, gap, usage, &generation.identity);
            Ok(event_stream(acts, generation, scissors))
        }
        Script::Hang => {
            // Held until the client disconnects, the generation counts as an open stream.
            let _generation = open();
            std::future::pending().await
        }
    }
}

fn not_a_model(id: &str) -> ApiError {
    ApiError::plain(400, format!("{id} is not a valid model ID"))
}

fn event_stream(acts: VecDeque<Act>, generation: Generation, scissors: Scissors) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/event-stream".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (GENERATION_ID, generation.identity.id.clone()),
    ];
    (headers, playback::body(acts, generation, scissors)).into_response()
}
