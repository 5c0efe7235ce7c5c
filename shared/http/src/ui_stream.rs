//! The AI SDK's UI Message Stream v1, written frame by frame.
//!
//! Every frame is `id: <n>` and `data: <json>`; some versions of the SDK refuse keys that the schema
//! does not know, so there are none. The end is always said, by `finish` or by `error`: to the SDK's
//! client, a stream that just stops looks like success. Source: `uiMessageChunkSchema` of `ai` 5–7.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use shared_core::answer::{FinishReason, UiEvent, Usage};
use shared_core::ids::MessageId;

use crate::{ApiError, ErrorCode, PipeBody, PipeWriter, pipe};

/// The frame after the last.
pub const DONE: &str = "data: [DONE]\n\n";

/// Room for a few frames, so that most chunks need no allocation of their own.
const ROOM: usize = 4096;

/// Writes an answer as it comes.
///
/// Frames gather until [`UiStream::flush`], so that what came in together goes out together.
#[derive(Debug)]
pub struct UiStream {
    frames: BytesMut,
    out: PipeWriter,
    next_id: u64,
    ended: bool,
}

/// Whoever drops a stream before its end has panicked: the reader is told that it broke.
impl Drop for UiStream {
    fn drop(&mut self) {
        if !self.ended {
            self.error(&ApiError::new(ErrorCode::Internal, "something broke on our side"));
            self.flush();
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Chunk<'a> {
    Start {
        message_id: &'a str,
        message_metadata: StartMetadata<'a>,
    },
    StartStep,
    SourceUrl {
        source_id: &'a str,
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    FinishStep,
    Finish {
        finish_reason: &'a str,
        message_metadata: FinishMetadata<'a>,
    },
    Error {
        error_text: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartMetadata<'a> {
    model: &'a str,
}

/// What the browser is told about a finished answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FinishMetadata<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct UsageMetadata {
    prompt_tokens: u32,
    completion_tokens: u32,
    reasoning_tokens: u32,
    cached_tokens: u32,
}

impl UiStream {
    /// A stream, and the response that carries it.
    pub fn new() -> (Self, Response) {
        let (out, body) = pipe();
        (
            Self { frames: BytesMut::with_capacity(ROOM), out, next_id: 1, ended: false },
            response(body),
        )
    }

    /// The answer begins: which message it will be, and which model was asked.
    pub fn start(&mut self, message: &MessageId, model: &str) {
        self.chunk(&Chunk::Start {
            message_id: message.as_str(),
            message_metadata: StartMetadata { model },
        });
        self.chunk(&Chunk::StartStep);
    }

    /// More of the answer.
    pub fn event(&mut self, event: &UiEvent<'_>) {
        match *event {
            UiEvent::TextStart { part } => self.part(b"text-start", part, None),
            UiEvent::TextDelta { part, delta } => self.part(b"text-delta", part, Some(delta)),
            UiEvent::TextEnd { part } => self.part(b"text-end", part, None),
            UiEvent::ReasoningStart { part } => self.part(b"reasoning-start", part, None),
            UiEvent::ReasoningDelta { part, delta } => {
                self.part(b"reasoning-delta", part, Some(delta));
            }
            UiEvent::ReasoningEnd { part } => self.part(b"reasoning-end", part, None),
            UiEvent::SourceUrl { source_id, url, title } => {
                self.chunk(&Chunk::SourceUrl { source_id, url, title });
            }
        }
    }

    /// The answer is complete and stored.
    pub fn finish(&mut self, reason: FinishReason, model: &str, usage: Option<Usage>) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "billionths of a dollar are exact up to 9 million dollars"
        )]
        let cost_usd = usage.and_then(|usage| usage.cost_nano_usd).map(|nano| nano as f64 / 1e9);
        let usage = usage.map(|usage| UsageMetadata {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cached_tokens: usage.cached_tokens,
        });
        self.chunk(&Chunk::FinishStep);
        let message_metadata = FinishMetadata { model, usage, cost_usd };
        self.chunk(&Chunk::Finish { finish_reason: reason.as_str(), message_metadata });
        self.done();
    }

    /// The answer broke off. The text is the same JSON as the body of an error response.
    pub fn error(&mut self, error: &ApiError) {
        self.chunk(&Chunk::Error { error_text: &error.to_json() });
        self.done();
    }

    /// Nothing to say, but still here: keeps proxies from closing a quiet stream.
    pub fn comment(&mut self) {
        self.frames.put_slice(b": still here\n\n");
    }

    /// Sends what has gathered; answers whether there was anything.
    pub fn flush(&mut self) -> bool {
        if self.frames.is_empty() {
            return false;
        }
        self.out.write(self.frames.split());
        true
    }

    fn done(&mut self) {
        self.ended = true;
        self.frames.put_slice(DONE.as_bytes());
    }

    /// The frames that make up an answer, written by hand: there is one per token.
    fn part(&mut self, kind: &[u8], part: usize, delta: Option<&str>) {
        self.id();
        self.frames.put_slice(b"data: {\"type\":\"");
        self.frames.put_slice(kind);
        self.frames.put_slice(b"\",\"id\":\"");
        self.number(part as u64);
        self.frames.put_u8(b'"');
        if let Some(delta) = delta {
            self.frames.put_slice(b",\"delta\":");
            self.json(&delta);
        }
        self.frames.put_slice(b"}\n\n");
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) {
        self.id();
        self.frames.put_slice(b"data: ");
        self.json(chunk);
        self.frames.put_slice(b"\n\n");
    }

    fn id(&mut self) {
        self.frames.put_slice(b"id: ");
        self.number(self.next_id);
        self.frames.put_u8(b'\n');
        self.next_id += 1;
    }

    fn number(&mut self, number: u64) {
        self.json(&number);
    }

    /// Writing to memory does not fail, and these types have no keys that are not text.
    fn json(&mut self, value: &impl Serialize) {
        let _ = serde_json::to_writer((&mut self.frames).writer(), value);
    }
}

fn response(body: PipeBody) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // `no-transform`: a proxy that compresses would hold chunks back to fill its window.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        (HeaderName::from_static("x-vercel-ai-ui-message-stream"), HeaderValue::from_static("v1")),
    ];
    (HEADERS, Body::new(body)).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn written(write: impl FnOnce(&mut UiStream)) -> String {
        let (mut stream, response) = UiStream::new();
        write(&mut stream);
        stream.flush();
        drop(stream);
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec())
            .unwrap()
    }

    #[tokio::test]
    async fn an_answer_on_the_wire() {
        let body = written(|stream| {
            stream.start(&MessageId::parse("answer-01").unwrap(), "fake/echo");
            stream.event(&UiEvent::TextStart { part: 0 });
            stream.event(&UiEvent::TextDelta { part: 0, delta: "a \"b\"\n" });
            stream.event(&UiEvent::TextEnd { part: 0 });
            let usage = Usage { prompt_tokens: 3, cost_nano_usd: Some(1_500), ..Usage::default() };
            stream.finish(FinishReason::Stop, "fake/echo", Some(usage));
        })
        .await;
        insta::assert_snapshot!(body, @r#"
        id: 1
        data: {"type":"start","messageId":"answer-01","messageMetadata":{"model":"fake/echo"}}

        id: 2
        data: {"type":"start-step"}

        id: 3
        data: {"type":"text-start","id":"0"}

        id: 4
        data: {"type":"text-delta","id":"0","delta":"a \"b\"\n"}

        id: 5
        data: {"type":"text-end","id":"0"}

        id: 6
        data: {"type":"finish-step"}

        id: 7
        data: {"type":"finish","finishReason":"stop","messageMetadata":{"model":"fake/echo","usage":{"promptTokens":3,"completionTokens":0,"reasoningTokens":0,"cachedTokens":0},"costUsd":1.5e-6}}

        data: [DONE]
        "#);
    }

    #[tokio::test]
    async fn an_error_says_the_same_as_an_error_response() {
        let error = ApiError::new(ErrorCode::ModelFailed, "it broke");
        let body = written(|stream| stream.error(&error)).await;
        insta::assert_snapshot!(body, @r#"
        id: 1
        data: {"type":"error","errorText":"{\"error\":{\"code\":\"model_failed\",\"message\":\"it broke\"}}"}

        data: [DONE]
        "#);
    }
}
