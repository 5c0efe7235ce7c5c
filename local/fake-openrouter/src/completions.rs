//! `POST /chat/completions`: validates the request, selects the model, and answers streamed or whole.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::account::Key;
use crate::connection::Scissors;
use crate::errors::{self, ApiError};
use crate::frames::Act;
use crate::generation::Generation;
use crate::memory::Memory;
use crate::request::{Prompt, RecordedRequest};
use crate::script::{Script, Step, Stream, delta, pause, stop};
use crate::{frames, models, playback, whole_answer};

/// Maximum number of chunks of a paced answer that is not streamed: its text is built in memory.
const MOST_CHUNKS_AT_ONCE: u32 = 1_000_000;

/// Carries the generation's id before its first chunk does, also where no chunk will follow.
pub(crate) const GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");

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
    let key = key.text().to_owned();
    let invalid = |message: &str| ApiError::typed(400, message, "invalid_request");
    let body = body.map_err(|_| invalid("Invalid JSON in the request body"))?;
    let prompt = Prompt::read(&body)
        .ok_or_else(|| invalid("Input required: specify \"prompt\" or \"messages\""))?;
    let turn = Turn { memory, key, scissors, prompt, streamed: body["stream"] == true };
    turn.answer(&asked_models(&body)?).await
}

/// Returns `model`, then the fallbacks of `models`, each once.
fn asked_models(body: &Value) -> Result<Vec<&str>, ApiError> {
    let fallbacks = body["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = Some(&body["model"]).filter(|model| !model.is_null());
    let mut models = Vec::new();
    for model in first.into_iter().chain(fallbacks) {
        let model = model.as_str().ok_or_else(|| not_a_model(&model.to_string()))?;
        if !models.contains(&model) {
            models.push(model);
        }
    }
    if models.is_empty() {
        models.push(models::DEFAULT);
    }
    Ok(models)
}

fn not_a_model(id: &str) -> ApiError {
    ApiError::plain(400, format!("{id} is not a valid model ID"))
}

struct Turn {
    memory: Arc<Memory>,
    key: String,
    scissors: Scissors,
    prompt: Prompt,
    streamed: bool,
}

impl Turn {
    /// Answers with the first model that does not refuse; if all refuse, returns the last refusal.
    async fn answer(self, ids: &[&str]) -> Result<Response, ApiError> {
        let scripts = ids.iter().map(|id| self.script(id)).collect::<Result<Vec<_>, _>>()?;
        let mut refusal = None;
        for (id, script) in ids.iter().zip(scripts) {
            match script {
                Script::Status(status) => {
                    refusal = Some(errors::scripted(&status, id));
                    // Errors of the account: no fallback model would help.
                    if matches!(status.status, 401 | 402) {
                        break;
                    }
                }
                Script::Stream(stream) => return self.stream(&stream, id).await,
                Script::Paced { chunks, gap } => return self.paced(chunks, gap, id).await,
                Script::Hang => return self.hang(id).await,
            }
        }
        refusal.ok_or_else(|| ApiError::usual(404, ""))
    }

    fn script(&self, id: &str) -> Result<Script, ApiError> {
        self.memory
            .script(id)
            .or_else(|| models::script(id, &self.prompt))
            .ok_or_else(|| not_a_model(id))
    }

    async fn stream(self, stream: &Stream, id: &str) -> Result<Response, ApiError> {
        let generation = self.open(id);
        if !self.streamed {
            return whole_answer::answer(&stream.steps, generation, self.scissors).await;
        }
        let acts = frames::acts(stream, &generation.identity);
        Ok(event_stream(acts, generation, self.scissors))
    }

    async fn paced(self, chunks: u32, gap: Duration, id: &str) -> Result<Response, ApiError> {
        let generation = self.open(id);
        let usage = models::usage(id, self.prompt.tokens, chunks);
        if !self.streamed {
            let chunks = chunks.min(MOST_CHUNKS_AT_ONCE);
            let text = frames::PACED_TEXT.repeat(usize::try_from(chunks).unwrap_or_default());
            let usage = Step::Usage { usage, with_choices: false };
            let steps = [pause(gap.saturating_mul(chunks)), delta(text), stop(), usage];
            return whole_answer::answer(&steps, generation, self.scissors).await;
        }
        let acts = frames::paced(chunks, gap, usage, &generation.identity);
        Ok(event_stream(acts, generation, self.scissors))
    }

    /// Hangs until the client disconnects; held until then, the generation counts as an open stream.
    async fn hang(self, id: &str) -> Result<Response, ApiError> {
        let _generation = self.open(id);
        std::future::pending().await
    }

    fn open(&self, id: &str) -> Generation {
        Generation::open(Arc::clone(&self.memory), &self.key, id, self.prompt.tokens, self.streamed)
    }
}

fn event_stream(acts: VecDeque<Act>, generation: Generation, scissors: Scissors) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/event-stream".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (GENERATION_ID, generation.identity.id.clone()),
    ];
    (headers, playback::body(acts, generation, scissors)).into_response()
}
