//! The AI SDK's UI Message Stream v1, written frame by frame.
//!
//! Every frame is `id: <n>` and `data: <json>`; some versions of the SDK refuse keys that are not in
//! the schema, so there are none. Every stream ends with `finish`, `abort` or `error`: to the SDK's client,
//! a stream that just stops looks like success. Source: `uiMessageChunkSchema` of `ai` 5–7.

use std::fmt::Write;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use shared_core::answer::{FinishReason, UiEvent};
use shared_core::ids::MessageId;
use shared_core::turn::AnswerError;

use crate::{ApiError, ErrorCode, FrameBuffer, MessageMetadata, PipeWriter, TurnSummary, pipe};

/// The end of a stream, after its last frame.
pub const DONE: &str = "data: [DONE]\n\n";

/// A heartbeat comment: keeps proxies from closing a quiet stream.
pub const COMMENT: &str = ": still here\n\n";

/// Buffer capacity, in bytes: room for a few frames, so that most chunks need no allocation of their own.
const ROOM: usize = 4096;

/// Writes an answer as a stream of frames.
///
/// Frames are buffered until [`UiStream::flush`], so that events received together are sent together.
#[derive(Debug)]
pub struct UiStream {
    frames: BytesMut,
    out: PipeWriter,
    frame_buffer: FrameBuffer,
    next_id: u64,
    /// The number of the first frame that was not sent yet.
    unsent: u64,
    ended: bool,
}

/// A drop before the end means that the turn has panicked: sends the client an `error` frame.
impl Drop for UiStream {
    fn drop(&mut self) {
        if !self.ended {
            self.error(&ApiError::new(ErrorCode::Internal, "something broke on our side"), None);
            self.flush();
        }
        self.frame_buffer.end();
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
        #[serde(skip_serializing_if = "Option::is_none")]
        message_metadata: Option<MessageMetadata<'a>>,
    },
    MessageMetadata {
        message_metadata: MessageMetadata<'a>,
    },
    // Without a reason: versions of the SDK before 6 refuse it.
    Abort,
    Error {
        error_text: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartMetadata<'a> {
    model: &'a str,
}

impl UiStream {
    /// Creates a stream, and the response that carries it. Its frames are copied into `frame_buffer`.
    pub fn new(frame_buffer: FrameBuffer) -> (Self, Response) {
        let (out, body) = pipe();
        let frames = BytesMut::with_capacity(ROOM);
        let stream = Self { frames, out, frame_buffer, next_id: 1, unsent: 1, ended: false };
        (stream, event_stream(Body::new(body)))
    }

    /// Starts the answer: the id of its message, and the model.
    pub fn start(&mut self, message: &MessageId, model: &str) {
        self.chunk(&Chunk::Start {
            message_id: message.as_str(),
            message_metadata: StartMetadata { model },
        });
        self.chunk(&Chunk::StartStep);
    }

    /// Writes an event of the answer.
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

    /// Ends the stream: the answer is complete and stored.
    pub fn finish(&mut self, reason: FinishReason, summary: Option<&TurnSummary<'_>>) {
        self.chunk(&Chunk::FinishStep);
        let message_metadata = summary.map(MessageMetadata::from);
        self.chunk(&Chunk::Finish { finish_reason: reason.as_str(), message_metadata });
        self.done();
    }

    /// Ends the stream: the user has stopped the answer; its text until then is stored.
    pub fn abort(&mut self, summary: Option<&TurnSummary<'_>>) {
        self.summary(summary);
        self.chunk(&Chunk::Abort);
        self.done();
    }

    /// Ends the stream: the answer broke off, but may have cost something (`summary`). The text is the same
    /// JSON as the body of an error response.
    pub fn error(&mut self, error: &ApiError, summary: Option<&TurnSummary<'_>>) {
        self.summary(summary);
        self.chunk(&Chunk::Error { error_text: &error.to_json() });
        self.done();
    }

    /// Writes a heartbeat comment.
    pub fn comment(&mut self) {
        self.frames.put_slice(COMMENT.as_bytes());
    }

    /// Sends the buffered frames; returns whether there were any.
    pub fn flush(&mut self) -> bool {
        if self.frames.is_empty() {
            return false;
        }
        // A comment is no frame, and is not copied.
        if self.next_id > self.unsent {
            self.frame_buffer.append(self.unsent, self.next_id - 1, &self.frames);
            self.unsent = self.next_id;
        }
        self.out.write(self.frames.split());
        true
    }

    fn summary(&mut self, summary: Option<&TurnSummary<'_>>) {
        if let Some(summary) = summary {
            self.chunk(&Chunk::MessageMetadata {
                message_metadata: MessageMetadata::from(summary),
            });
        }
    }

    fn done(&mut self) {
        self.ended = true;
        self.frames.put_slice(DONE.as_bytes());
    }

    /// Writes a frame of a part, serialized by hand: there is one per token.
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

    /// Never fails: it writes to memory, and these types have no keys that are not text.
    fn json(&mut self, value: &impl Serialize) {
        let _ = serde_json::to_writer((&mut self.frames).writer(), value);
    }
}

/// The error and the end of a resumed stream that breaks off. The error has no frame number: those of the
/// frames that were not sent are still to come.
pub fn broken_off(error: &ApiError) -> Bytes {
    let mut frames = BytesMut::new();
    frames.put_slice(b"data: ");
    let _ = serde_json::to_writer(
        (&mut frames).writer(),
        &Chunk::Error { error_text: &error.to_json() },
    );
    frames.put_slice(b"\n\n");
    frames.put_slice(DONE.as_bytes());
    frames.freeze()
}

/// The last frame of an orphaned turn's stream, an error with the number `number`, and the end.
pub fn interrupted(number: u64) -> Bytes {
    let mut frames = BytesMut::new();
    let _ = writeln!(frames, "id: {number}");
    frames.extend_from_slice(&broken_off(&AnswerError::Interrupted.into()));
    frames.freeze()
}

/// A response whose body is frames of this protocol.
pub fn event_stream(body: Body) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // `no-transform`: a proxy that compresses would hold chunks back to fill its window.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        (HeaderName::from_static("x-vercel-ai-ui-message-stream"), HeaderValue::from_static("v1")),
    ];
    (HEADERS, body).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use shared_core::answer::Usage;
    use shared_core::credits::Charge;
    use shared_core::plans::PlanId;

    use super::*;

    async fn written(write: impl FnOnce(&mut UiStream)) -> String {
        let (mut stream, response) = UiStream::new(FrameBuffer::default());
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
            let summary = TurnSummary { model: "fake/echo", usage: Some(usage), charge };
            stream.finish(FinishReason::Stop, Some(&summary));
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
        data: {"type":"finish","finishReason":"stop","messageMetadata":{"model":"fake/echo","usage":{"promptTokens":3,"completionTokens":0,"reasoningTokens":0,"cachedTokens":0},"costUsd":1.5e-6,"paidBy":"credits","credits":1,"creditsLeft":4,"creditsPlan":"free"}}

        data: [DONE]
        "#);
    }

    #[tokio::test]
    async fn an_error_frame_has_the_body_of_an_error_response() {
        let error = ApiError::new(ErrorCode::ModelFailed, "it broke");
        let body = written(|stream| stream.error(&error, None)).await;
        insta::assert_snapshot!(body, @r#"
        id: 1
        data: {"type":"error","errorText":"{\"error\":{\"code\":\"model_failed\",\"message\":\"it broke\"}}"}

        data: [DONE]
        "#);
    }

    #[tokio::test]
    async fn the_frame_buffer_gets_the_clients_frames_without_comments() {
        let frame_buffer = FrameBuffer::default();
        let (mut stream, response) = UiStream::new(frame_buffer.clone());
        stream.start(&MessageId::parse("answer-01").unwrap(), "fake/echo");
        stream.flush();
        stream.comment();
        stream.flush();
        stream.error(&ApiError::new(ErrorCode::ModelFailed, "it broke"), None);
        stream.flush();
        drop(stream);
        let (kept, is_over) = frame_buffer.take();
        assert_eq!((kept.first, kept.last, is_over), (1, 3, true));
        let read = response.into_body().collect().await.unwrap().to_bytes();
        let read = String::from_utf8(read.to_vec()).unwrap();
        assert_eq!(
            String::from_utf8(kept.bytes.to_vec()).unwrap(),
            read.replace(": still here\n\n", "")
        );
    }
}
