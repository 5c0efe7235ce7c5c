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
use serde_json::json;
use shared_core::answer::{FinishReason, UiEvent, Usage};
use shared_core::credits::Charge;
use shared_core::ids::MessageId;
use shared_core::money::usd;
use shared_core::usage::PaidBy;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

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
            self.error(&ApiError::new(ErrorCode::Internal, "something broke on our side"), None);
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
        message_metadata: MessageMetadata<'a>,
    },
    MessageMetadata {
        message_metadata: MessageMetadata<'a>,
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

/// What an answer took.
#[derive(Clone, Debug)]
pub struct Took<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Tokens and cost, if the provider has said.
    pub usage: Option<Usage>,
    /// Who paid.
    pub charge: Charge,
}

/// What a turn took: the metadata of `finish`, and of a `message-metadata` event before an `error`.
/// (`start` carries `model` alone.)
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageMetadata<'a> {
    /// The model that answered.
    #[schema(example = "openai/gpt-5-mini")]
    model: &'a str,
    /// The provider's count, if it has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage: Option<TokenUsage>,
    /// What the provider charged, in US dollars, to whoever paid; if it has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.000_15)]
    cost_usd: Option<f64>,
    #[schema(schema_with = paid_by)]
    paid_by: PaidBy,
    /// Credits that the turn cost: 0 if a key paid, or if the model said nothing.
    credits: u32,
    /// Credits that were left then of the day or the paid period that paid. Only if credits paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credits_left: Option<u32>,
    /// The plan whose credits these are: whoever has bought one has those of `free` beside it. Only if
    /// credits paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "free")]
    credits_of: Option<&'a str>,
}

/// What was read and written, in tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct TokenUsage {
    /// The system prompt, what was said before, and the question.
    prompt_tokens: u32,
    /// The answer, reasoning included.
    completion_tokens: u32,
    /// Reasoning, of the answer's.
    reasoning_tokens: u32,
    /// What the provider had cached, of the prompt's.
    cached_tokens: u32,
}

/// The words of [`PaidBy`].
fn paid_by() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([PaidBy::Credits, PaidBy::Key].map(|word| json!(word))))
        .description(Some("Who paid: the platform, for credits, or the user's own key."))
        .build()
}

impl<'a> From<&'a Took<'a>> for MessageMetadata<'a> {
    fn from(took: &'a Took<'a>) -> Self {
        let usage = took.usage.map(|usage| TokenUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cached_tokens: usage.cached_tokens,
        });
        let (paid_by, credits, credits_left, credits_of) = match &took.charge {
            Charge::Credits { credits, left, of } => {
                (PaidBy::Credits, *credits, Some(*left), Some(of.as_str()))
            }
            Charge::Key => (PaidBy::Key, 0, None, None),
        };
        let cost_usd = took.usage.and_then(|usage| usage.cost_nano_usd).map(usd);
        Self { model: took.model, usage, cost_usd, paid_by, credits, credits_left, credits_of }
    }
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
    pub fn finish(&mut self, reason: FinishReason, took: &Took<'_>) {
        self.chunk(&Chunk::FinishStep);
        let message_metadata = MessageMetadata::from(took);
        self.chunk(&Chunk::Finish { finish_reason: reason.as_str(), message_metadata });
        self.done();
    }

    /// The answer broke off, and `took` something all the same. The text is the same JSON as the body
    /// of an error response.
    pub fn error(&mut self, error: &ApiError, took: Option<&Took<'_>>) {
        if let Some(took) = took {
            self.chunk(&Chunk::MessageMetadata { message_metadata: MessageMetadata::from(took) });
        }
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
    use shared_core::plans::PlanId;

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
            let of = PlanId::parse("free").unwrap();
            let charge = Charge::Credits { credits: 1, left: 4, of };
            let took = Took { model: "fake/echo", usage: Some(usage), charge };
            stream.finish(FinishReason::Stop, &took);
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
        data: {"type":"finish","finishReason":"stop","messageMetadata":{"model":"fake/echo","usage":{"promptTokens":3,"completionTokens":0,"reasoningTokens":0,"cachedTokens":0},"costUsd":1.5e-6,"paidBy":"credits","credits":1,"creditsLeft":4,"creditsOf":"free"}}

        data: [DONE]
        "#);
    }

    #[tokio::test]
    async fn an_error_says_the_same_as_an_error_response() {
        let error = ApiError::new(ErrorCode::ModelFailed, "it broke");
        let body = written(|stream| stream.error(&error, None)).await;
        insta::assert_snapshot!(body, @r#"
        id: 1
        data: {"type":"error","errorText":"{\"error\":{\"code\":\"model_failed\",\"message\":\"it broke\"}}"}

        data: [DONE]
        "#);
    }
}
