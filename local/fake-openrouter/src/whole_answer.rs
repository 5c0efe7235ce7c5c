//! The answer to `"stream": false`: a stream's steps joined into one JSON completion.

use std::collections::VecDeque;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::completions::GENERATION_ID;
use crate::connection::Scissors;
use crate::errors::ApiError;
use crate::frames::{Act, annotation, reasoning_detail, usage_document};
use crate::generation::{Generation, Progress};
use crate::playback;
use crate::request::words;
use crate::script::{ErrorCode, Step};

/// Waits as long as the stream would take, then answers.
pub(crate) async fn answer(
    steps: &[Step],
    mut generation: Generation,
    scissors: Scissors,
) -> Result<Response, ApiError> {
    let mut message = Message::default();
    for step in steps {
        match step {
            Step::Delta(text) => {
                message.content.push_str(text);
                generation.add(Progress::tokens(words(text)));
            }
            Step::Reasoning(text) => {
                message.reasoning.push_str(text);
                let tokens = words(text);
                generation.add(Progress {
                    completion_tokens: tokens,
                    reasoning_tokens: tokens,
                    ..Progress::default()
                });
            }
            Step::Citation(citation) => message.annotations.push(annotation(citation)),
            Step::FinishReason(reason) => {
                message.finish_reason = Some(reason.clone());
                let finish_reason = Some(reason.clone());
                generation.add(Progress { finish_reason, ..Progress::default() });
            }
            Step::Usage { usage, .. } => {
                generation.add(Progress { usage: Some(*usage), ..Progress::default() });
            }
            Step::Error { code, message, error_type } => {
                let finish_reason = Some("error".to_owned());
                generation.add(Progress { finish_reason, ..Progress::default() });
                generation.end();
                return Err(ApiError::typed(error_status(code), message, error_type));
            }
            Step::Pause(time) => tokio::time::sleep(*time).await,
            Step::Cut => return Ok(cut(&message, generation, scissors)),
            Step::Heartbeat(_) | Step::Silent => std::future::pending().await,
            // Only a stream has these.
            Step::Comment(_) | Step::Role | Step::Raw(_) | Step::Done => {}
        }
    }
    generation.end();
    let completion = message.completion(&generation).to_string();
    Ok(json_response(completion.into(), &generation.identity.id))
}

/// The start of the completion, then the end of the connection.
fn cut(message: &Message, generation: Generation, scissors: Scissors) -> Response {
    let completion = message.completion(&generation).to_string();
    let id = generation.identity.id.clone();
    let acts = VecDeque::from([Act::Cut(completion.into())]);
    json_response(playback::body(acts, generation, scissors), &id)
}

fn json_response(body: Body, id: &str) -> Response {
    ([(CONTENT_TYPE, "application/json"), (GENERATION_ID, id)], body).into_response()
}

/// Without a stream, a failure is still an HTTP status; a textual code becomes 500.
fn error_status(code: &ErrorCode) -> u16 {
    match code {
        ErrorCode::Number(code) => *code,
        ErrorCode::Text(_) => 500,
    }
}

#[derive(Default)]
struct Message {
    content: String,
    reasoning: String,
    annotations: Vec<Value>,
    finish_reason: Option<String>,
}

impl Message {
    fn completion(&self, generation: &Generation) -> Value {
        let mut message = json!({
            "role": "assistant",
            "content": self.content,
            "refusal": null,
            "reasoning": null,
        });
        if !self.reasoning.is_empty() {
            message["reasoning"] = json!(self.reasoning);
            message["reasoning_details"] = json!([reasoning_detail(&self.reasoning)]);
        }
        if !self.annotations.is_empty() {
            message["annotations"] = json!(self.annotations);
        }
        let identity = &generation.identity;
        json!({
            "id": identity.id,
            "object": "chat.completion",
            "created": identity.created.as_second(),
            "model": identity.model,
            "provider": identity.provider,
            "choices": [{
                "index": 0,
                "message": message,
                "finish_reason": self.finish_reason,
                "native_finish_reason": self.finish_reason,
                "logprobs": null,
            }],
            "usage": usage_document(&generation.usage()),
        })
    }
}
