//! Scripts: a model's answer, written down as the frames that a client will see.
//!
//! ```
//! use fake_openrouter::script::{Script, Stream, delta, done, status, stop, usage};
//!
//! let reply = [delta("Hel"), delta("lo"), stop(), usage(10, 2, 0.0001), done()];
//! let windows = Script::from(Stream::from(reply).crlf().pieces(5));
//! let busy = Script::from(status(429).header("retry-after", "7"));
//! # let _ = (windows, busy);
//! ```

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

pub use crate::gate::Gate;

/// A model's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Script {
    /// An HTTP error instead of an answer; see [`status`].
    Status(Status),
    /// 200 and these frames.
    Stream(Stream),
    /// 200 and `chunks` equal deltas, chunk `n` due `n * gap` after the first. The due times are
    /// absolute, so a late chunk does not delay the ones after it.
    Paced {
        /// How many content deltas.
        chunks: u32,
        /// Time between two of them; the timer's resolution is a millisecond.
        gap: Duration,
    },
    /// Takes the request and never answers, not even with headers.
    Hang,
}

/// An HTTP answer with an error status.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The status code; an invalid one becomes 500.
    pub status: u16,
    /// Headers besides the usual ones of this status, and instead of those of the same name.
    pub headers: Vec<(String, String)>,
    /// The body; `None` is the one that `OpenRouter` sends with this status.
    pub body: Option<Bytes>,
}

/// The frames of a streamed answer and how they are put on the wire.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stream {
    /// What happens, in order. After the last one the response ends properly.
    pub steps: Vec<Step>,
    /// How lines end.
    pub line_ending: LineEnding,
    /// How frames become writes.
    pub writes: Writes,
}

/// The end of a line of server-sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnding {
    /// `\n`.
    #[default]
    Lf,
    /// `\r\n`.
    CrLf,
}

/// How frames become writes. A write is one HTTP chunk, flushed before the next is made; frames on two sides
/// of a pause or a gate never share a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    /// One write for each frame.
    #[default]
    PerFrame,
    /// All frames in one write.
    Burst,
    /// Writes of this many bytes, also split inside frames and characters; 0 counts as 1.
    Pieces(usize),
}

/// One step of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `: text`, which a client skips.
    Comment(String),
    /// The first delta: the assistant's role and no text.
    Role,
    /// A piece of the answer.
    Delta(String),
    /// A piece of the reasoning, as `reasoning` and as `reasoning_details`.
    Reasoning(String),
    /// A `url_citation` in `delta.annotations`.
    Citation(Citation),
    /// The chunk that ends the answer, for example with `stop`.
    FinishReason(String),
    /// The usage chunk.
    Usage {
        /// Its numbers.
        usage: Usage,
        /// Whether it still has a choice (with an empty delta) beside the usage.
        with_choices: bool,
    },
    /// The chunk that reports a failure after the headers were sent.
    Error {
        /// A status number or a word: both are in use.
        code: ErrorCode,
        /// The human-readable message.
        message: String,
        /// `metadata.error_type`.
        error_type: String,
    },
    /// `[DONE]`.
    Done,
    /// These bytes as they are.
    Raw(Bytes),
    /// Nothing for this long.
    Pause(Duration),
    /// Nothing until the gate is opened.
    Gate(Gate),
    /// A comment at this interval, for ever.
    Heartbeat(Duration),
    /// The start of a chunk, then the end of the TCP connection.
    Cut,
    /// Nothing more, for ever, on an open connection.
    Silent,
}

/// `error.code` of a failed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCode {
    /// As in the error reference: `429`.
    Number(u16),
    /// As on the streaming page: `"server_error"`.
    Text(String),
}

/// A source that the answer cites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// Its URL.
    pub url: String,
    /// Its title.
    pub title: String,
    /// An excerpt of its text.
    pub content: String,
    /// Where in the answer the cited text starts, in characters.
    pub start_index: u32,
    /// Where it ends.
    pub end_index: u32,
}

/// The numbers of a usage chunk.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Tokens of the prompt, including cached ones.
    pub prompt_tokens: u32,
    /// Tokens of the answer, including the reasoning.
    pub completion_tokens: u32,
    /// Reasoning tokens, a part of `completion_tokens`.
    pub reasoning_tokens: u32,
    /// Cached tokens, a part of `prompt_tokens`.
    pub cached_tokens: u32,
    /// US dollars; `OpenRouter` allows it to be null.
    pub cost: Option<f64>,
}

impl Stream {
    /// Ends lines with `\r\n`.
    #[must_use]
    pub fn crlf(mut self) -> Self {
        self.line_ending = LineEnding::CrLf;
        self
    }

    /// Sends everything between two pauses or gates in one write.
    #[must_use]
    pub fn burst(mut self) -> Self {
        self.writes = Writes::Burst;
        self
    }

    /// Sends writes of `bytes` bytes.
    #[must_use]
    pub fn pieces(mut self, bytes: usize) -> Self {
        self.writes = Writes::Pieces(bytes);
        self
    }
}

impl Status {
    /// Adds a header, or replaces the usual one of this name.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Replaces the body by this document.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string().into());
        self
    }
}

impl From<Status> for Script {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Stream> for Script {
    fn from(stream: Stream) -> Self {
        Self::Stream(stream)
    }
}

impl From<Vec<Step>> for Stream {
    fn from(steps: Vec<Step>) -> Self {
        Self { steps, ..Self::default() }
    }
}

impl<const N: usize> From<[Step; N]> for Stream {
    fn from(steps: [Step; N]) -> Self {
        Vec::from(steps).into()
    }
}

impl From<Vec<Step>> for Script {
    fn from(steps: Vec<Step>) -> Self {
        Self::Stream(steps.into())
    }
}

impl<const N: usize> From<[Step; N]> for Script {
    fn from(steps: [Step; N]) -> Self {
        Self::Stream(steps.into())
    }
}

impl From<u16> for ErrorCode {
    fn from(code: u16) -> Self {
        Self::Number(code)
    }
}

impl From<&str> for ErrorCode {
    fn from(code: &str) -> Self {
        Self::Text(code.to_owned())
    }
}

/// An HTTP error as `OpenRouter` words it: body, `Retry-After` and rate-limit headers included.
pub fn status(status: u16) -> Status {
    Status { status, headers: Vec::new(), body: None }
}

/// A [`Step::Comment`].
pub fn comment(text: impl Into<String>) -> Step {
    Step::Comment(text.into())
}

/// The comment with which every real stream starts.
pub fn processing() -> Step {
    comment("OPENROUTER PROCESSING")
}

/// A [`Step::Role`].
pub fn role() -> Step {
    Step::Role
}

/// A [`Step::Delta`].
pub fn delta(text: impl Into<String>) -> Step {
    Step::Delta(text.into())
}

/// A [`Step::Reasoning`].
pub fn reasoning(text: impl Into<String>) -> Step {
    Step::Reasoning(text.into())
}

/// A [`Step::FinishReason`].
pub fn finish(reason: impl Into<String>) -> Step {
    Step::FinishReason(reason.into())
}

/// The usual end of an answer.
pub fn stop() -> Step {
    finish("stop")
}

/// A [`Step::Usage`] with an empty `choices`; `cost` is in US dollars.
pub fn usage(prompt_tokens: u32, completion_tokens: u32, cost: f64) -> Step {
    let usage = Usage { prompt_tokens, completion_tokens, cost: Some(cost), ..Usage::default() };
    Step::Usage { usage, with_choices: false }
}

/// A [`Step::Error`].
pub fn error(
    code: impl Into<ErrorCode>,
    message: impl Into<String>,
    error_type: impl Into<String>,
) -> Step {
    Step::Error { code: code.into(), message: message.into(), error_type: error_type.into() }
}

/// A [`Step::Done`].
pub fn done() -> Step {
    Step::Done
}

/// A [`Step::Raw`].
pub fn raw(bytes: impl Into<Bytes>) -> Step {
    Step::Raw(bytes.into())
}

/// A [`Step::Pause`].
pub fn pause(time: Duration) -> Step {
    Step::Pause(time)
}

/// A [`Step::Gate`].
pub fn gate(gate: &Gate) -> Step {
    Step::Gate(gate.clone())
}

/// A [`Step::Heartbeat`].
pub fn heartbeat(every: Duration) -> Step {
    Step::Heartbeat(every)
}

/// A [`Step::Cut`].
pub fn cut() -> Step {
    Step::Cut
}

/// A [`Step::Silent`].
pub fn silent() -> Step {
    Step::Silent
}
