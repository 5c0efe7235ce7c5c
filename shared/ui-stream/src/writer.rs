//! Writes a stream, frame by frame.

use std::io::Write;

use http::{HeaderName, HeaderValue, Response, header};
use serde::Serialize;
use shared_core::chat::{FinishReason, UiEvent};
use shared_core::ids::MessageId;

use crate::frame_buffer::{FrameReader, FrameWriter, frame_buffer};
use crate::message_metadata::{MessageMetadata, TurnSummary};

/// The end of a stream, after its last frame.
pub const DONE: &str = "data: [DONE]\n\n";

/// A keep-alive comment: keeps proxies from closing a quiet stream.
pub const COMMENT: &str = ": still here\n\n";

/// Writes an answer as a stream of frames.
///
/// Frames are buffered until [`UiStream::flush`], so that events received together are sent together. Errors are given
/// as text: the JSON body of an error response.
#[derive(Debug)]
pub struct UiStream {
    frames: Vec<u8>,
    response: FrameWriter,
    /// A copy for the live log, until the end is written.
    copy: Option<FrameWriter>,
    next_id: u64,
    /// The number of the first frame that was not sent yet.
    unsent: u64,
    ended: bool,
    panicked: &'static str,
}

/// A drop before the end means that the turn has panicked: sends the client an `error` frame.
impl Drop for UiStream {
    fn drop(&mut self) {
        if !self.ended {
            self.error(self.panicked, None);
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
    /// Creates a stream, and the body of its response. The stream ends when this is dropped; before the end of the
    /// answer, with the error text `panicked`.
    pub fn new(panicked: &'static str) -> (Self, FrameReader) {
        let (response, body) = frame_buffer(1);
        let frames = Vec::new();
        let (next_id, unsent, ended) = (1, 1, false);
        (Self { frames, response, copy: None, next_id, unsent, ended, panicked }, body)
    }

    /// Copies the frames to `copy`, without comments, and ends it as soon as the end of the answer is flushed.
    #[must_use]
    pub fn with_copy(mut self, copy: FrameWriter) -> Self {
        self.copy = Some(copy);
        self
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

    /// Ends the stream: the answer broke off, but may have cost something (`summary`).
    pub fn error(&mut self, error_text: &str, summary: Option<&TurnSummary<'_>>) {
        self.summary(summary);
        self.chunk(&Chunk::Error { error_text });
        self.done();
    }

    /// Writes a keep-alive comment.
    pub fn comment(&mut self) {
        self.frames.extend_from_slice(COMMENT.as_bytes());
    }

    /// Sends the buffered frames; returns whether there were any.
    pub fn flush(&mut self) -> bool {
        if self.frames.is_empty() {
            return false;
        }
        let (first, last) = (self.unsent, self.next_id - 1);
        self.response.append(first, last, &self.frames);
        // A comment is no frame, and is not copied.
        if last >= first
            && let Some(copy) = &self.copy
        {
            copy.append(first, last, &self.frames);
        }
        if self.ended {
            self.copy = None;
        }
        self.unsent = self.next_id;
        self.frames.clear();
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
        self.frames.extend_from_slice(DONE.as_bytes());
    }

    /// Writes a frame of a part, serialized by hand: there is one per token.
    fn part(&mut self, kind: &[u8], part: usize, delta: Option<&str>) {
        self.id();
        self.frames.extend_from_slice(b"data: {\"type\":\"");
        self.frames.extend_from_slice(kind);
        self.frames.extend_from_slice(b"\",\"id\":\"");
        self.number(part as u64);
        self.frames.push(b'"');
        if let Some(delta) = delta {
            self.frames.extend_from_slice(b",\"delta\":");
            self.json(&delta);
        }
        self.frames.extend_from_slice(b"}\n\n");
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) {
        self.id();
        self.frames.extend_from_slice(b"data: ");
        self.json(chunk);
        self.frames.extend_from_slice(b"\n\n");
    }

    fn id(&mut self) {
        self.frames.extend_from_slice(b"id: ");
        self.number(self.next_id);
        self.frames.push(b'\n');
        self.next_id += 1;
    }

    fn number(&mut self, number: u64) {
        self.json(&number);
    }

    /// Never fails: it writes to memory, and these types have no keys that are not text.
    fn json(&mut self, value: &impl Serialize) {
        let _ = serde_json::to_writer(&mut self.frames, value);
    }
}

/// The error and the end of a resumed stream that breaks off. The error has no frame number: those of the
/// frames that were not sent are still to come.
pub fn error_frame(error_text: &str) -> Vec<u8> {
    let mut frames = b"data: ".to_vec();
    let _ = serde_json::to_writer(&mut frames, &Chunk::Error { error_text });
    frames.extend_from_slice(b"\n\n");
    frames.extend_from_slice(DONE.as_bytes());
    frames
}

/// The last frame of an orphaned turn's stream, an error with the number `number`, and the end.
pub fn final_error_frame(number: u64, error_text: &str) -> Vec<u8> {
    let mut frames = Vec::new();
    let _ = writeln!(frames, "id: {number}");
    frames.extend_from_slice(&error_frame(error_text));
    frames
}

/// A response whose body is frames of this protocol.
pub fn event_stream<B>(body: B) -> Response<B> {
    const HEADERS: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // `no-transform`: a proxy that compresses would hold chunks back to fill its window.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        (HeaderName::from_static("x-vercel-ai-ui-message-stream"), HeaderValue::from_static("v1")),
    ];
    let mut response = Response::new(body);
    response.headers_mut().extend(HEADERS);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use shared_core::billing::{Charge, PlanId};
    use shared_core::chat::Usage;

    use super::*;

    async fn written(write: impl FnOnce(&mut UiStream)) -> String {
        let (mut stream, body) = UiStream::new("it panicked");
        write(&mut stream);
        stream.flush();
        drop(stream);
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
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
    async fn an_error_frame_has_a_text() {
        let body = written(|stream| stream.error(r#"{"error":{}}"#, None)).await;
        insta::assert_snapshot!(body, @r#"
        id: 1
        data: {"type":"error","errorText":"{\"error\":{}}"}

        data: [DONE]
        "#);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_before_its_end_gets_an_error() {
        let body =
            written(|stream| stream.start(&MessageId::parse("answer-01").unwrap(), "m")).await;
        assert!(body.ends_with("\"errorText\":\"it panicked\"}\n\ndata: [DONE]\n\n"), "{body}");
    }

    #[tokio::test]
    async fn the_copy_has_the_clients_frames_without_comments_and_ends_with_the_answer() {
        let (copy, mut copied) = frame_buffer(4096);
        let (stream, body) = UiStream::new("it panicked");
        let mut stream = stream.with_copy(copy);
        stream.start(&MessageId::parse("answer-01").unwrap(), "fake/echo");
        stream.flush();
        stream.comment();
        stream.flush();
        stream.error("it broke", None);
        stream.flush();
        let (frames, is_over) = copied.take();
        assert_eq!((frames.first, frames.last, is_over), (1, 3, true));
        drop(stream);
        let read = body.collect().await.unwrap().to_bytes();
        let read = String::from_utf8(read.to_vec()).unwrap();
        assert_eq!(
            String::from_utf8(frames.bytes.to_vec()).unwrap(),
            read.replace(": still here\n\n", "")
        );
    }
}
