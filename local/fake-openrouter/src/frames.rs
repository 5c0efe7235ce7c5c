//! Encodes steps as bytes, and groups them into writes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::generation::{Identity, Progress};
use crate::request::words;
use crate::script::{Citation, ErrorCode, Gate, LineEnding, Step, Stream, Usage, Writes};

/// One action of the server in a stream.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Write(Bytes, Progress),
    Wait(Duration),
    Gate(Gate),
    Heartbeat(Duration, Bytes),
    Paced { frame: Bytes, gap: Duration, left: u32 },
    Cut(Bytes),
    Silent,
}

impl Act {
    /// Returns the progress that it adds to the answer.
    pub(crate) fn progress(self) -> Progress {
        match self {
            Self::Write(_, progress) => progress,
            Self::Paced { left, .. } => Progress::tokens(left),
            Self::Wait(_) | Self::Gate(_) | Self::Heartbeat(..) | Self::Cut(_) | Self::Silent => {
                Progress::default()
            }
        }
    }
}

/// The acts of a scripted stream.
pub(crate) fn acts(stream: &Stream, identity: &Identity) -> VecDeque<Act> {
    let form = Form { line_ending: stream.line_ending, identity };
    let mut acts = VecDeque::new();
    let mut frames = Vec::new();
    for step in &stream.steps {
        match form.frame(step) {
            Rendered::Frame(bytes, progress) => frames.push((bytes, progress)),
            Rendered::Act(act) => {
                acts.extend(writes(std::mem::take(&mut frames), stream.writes));
                acts.push_back(act);
            }
        }
    }
    acts.extend(writes(frames, stream.writes));
    acts
}

/// The acts of [`crate::Script::Paced`]. The frame is rendered once: a benchmark sends it often.
pub(crate) fn paced(
    chunks: u32,
    gap: Duration,
    usage: Usage,
    identity: &Identity,
) -> VecDeque<Act> {
    let form = Form { line_ending: LineEnding::Lf, identity };
    let write = |step: &Step| match form.frame(step) {
        Rendered::Frame(bytes, progress) => Act::Write(bytes, progress),
        Rendered::Act(act) => act,
    };
    let frame = form.content(PACED_TEXT);
    VecDeque::from([
        write(&crate::script::processing()),
        write(&Step::Role),
        Act::Paced { frame, gap, left: chunks },
        write(&crate::script::stop()),
        write(&Step::Usage { usage, with_choices: false }),
        write(&Step::Done),
    ])
}

/// The text of every paced chunk.
const PACED_TEXT: &str = "tok ";

fn writes(frames: Vec<(Bytes, Progress)>, writes: Writes) -> Vec<Act> {
    let write = |(bytes, progress)| Act::Write(bytes, progress);
    match writes {
        Writes::PerFrame => frames.into_iter().map(write).collect(),
        Writes::Burst => pieces(frames, usize::MAX).into_iter().map(write).collect(),
        Writes::Pieces(size) => pieces(frames, size.max(1)).into_iter().map(write).collect(),
    }
}

/// Cuts the joined frames into pieces. A frame's progress belongs to the piece it starts in.
fn pieces(frames: Vec<(Bytes, Progress)>, size: usize) -> Vec<(Bytes, Progress)> {
    let mut joined = Vec::new();
    let mut starts = VecDeque::new();
    for (bytes, progress) in frames {
        starts.push_back((joined.len(), progress));
        joined.extend_from_slice(&bytes);
    }
    let mut rest = Bytes::from(joined);
    let mut sent = 0;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let bytes = rest.split_to(size.min(rest.len()));
        sent += bytes.len();
        let mut progress = Progress::default();
        while let Some((_, step)) = starts.pop_front_if(|(start, _)| *start < sent) {
            progress.add(step);
        }
        pieces.push((bytes, progress));
    }
    pieces
}

enum Rendered {
    Frame(Bytes, Progress),
    Act(Act),
}

/// How the chunks of one generation are written.
struct Form<'a> {
    line_ending: LineEnding,
    identity: &'a Identity,
}

impl Form<'_> {
    fn frame(&self, step: &Step) -> Rendered {
        let mut progress = Progress::default();
        let bytes = match step {
            Step::Comment(text) => self.event(&format!(": {text}")),
            Step::Role => self.choice(&json!({ "role": "assistant", "content": "" }), None),
            Step::Delta(text) => {
                progress.completion_tokens = words(text);
                self.content(text)
            }
            Step::Reasoning(text) => {
                progress.completion_tokens = words(text);
                progress.reasoning_tokens = words(text);
                self.choice(&reasoning_delta(text), None)
            }
            Step::Citation(citation) => {
                let annotations = [annotation(citation)];
                self.choice(&json!({ "content": "", "annotations": annotations }), None)
            }
            Step::FinishReason(reason) => {
                progress.finish_reason = Some(reason.clone());
                self.choice(&json!({ "content": "" }), Some(reason))
            }
            Step::Usage { usage, with_choices } => {
                progress.usage = Some(*usage);
                self.usage(usage, *with_choices)
            }
            Step::Error { code, message, error_type } => {
                progress.finish_reason = Some("error".to_owned());
                self.error(code, message, error_type)
            }
            Step::Done => self.event("data: [DONE]"),
            Step::Raw(bytes) => bytes.clone(),
            Step::Pause(time) => return Rendered::Act(Act::Wait(*time)),
            Step::Gate(gate) => return Rendered::Act(Act::Gate(gate.clone())),
            Step::Heartbeat(every) => {
                let beat = self.event(": OPENROUTER PROCESSING");
                return Rendered::Act(Act::Heartbeat(*every, beat));
            }
            Step::Cut => {
                return Rendered::Act(Act::Cut(self.content("this piece never arrives whole")));
            }
            Step::Silent => return Rendered::Act(Act::Silent),
        };
        Rendered::Frame(bytes, progress)
    }

    fn content(&self, text: &str) -> Bytes {
        self.choice(&json!({ "content": text }), None)
    }

    fn choice(&self, delta: &Value, finish_reason: Option<&str>) -> Bytes {
        let choice = json!({
            "index": 0,
            "delta": delta,
            "finish_reason": finish_reason,
            "native_finish_reason": finish_reason,
        });
        self.data(&self.chunk(&json!([choice])))
    }

    fn usage(&self, usage: &Usage, with_choices: bool) -> Bytes {
        let choices = if with_choices {
            json!([{ "index": 0, "delta": {}, "finish_reason": null }])
        } else {
            json!([])
        };
        let mut chunk = self.chunk(&choices);
        chunk["usage"] = usage_document(usage);
        self.data(&chunk)
    }

    fn error(&self, code: &ErrorCode, message: &str, error_type: &str) -> Bytes {
        let mut chunk = self.chunk(&json!([
            { "index": 0, "delta": { "content": "" }, "finish_reason": "error" }
        ]));
        chunk["error"] = json!({
            "code": code_value(code),
            "message": message,
            "metadata": { "error_type": error_type, "provider_code": error_type },
        });
        self.data(&chunk)
    }

    fn chunk(&self, choices: &Value) -> Value {
        let Identity { id, model, provider, created } = self.identity;
        json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created.as_second(),
            "model": model,
            "provider": provider,
            "choices": choices,
        })
    }

    fn data(&self, chunk: &Value) -> Bytes {
        self.event(&format!("data: {chunk}"))
    }

    fn event(&self, line: &str) -> Bytes {
        let end = match self.line_ending {
            LineEnding::Lf => "\n",
            LineEnding::CrLf => "\r\n",
        };
        format!("{line}{end}{end}").into()
    }
}

fn code_value(code: &ErrorCode) -> Value {
    match code {
        ErrorCode::Number(code) => json!(code),
        ErrorCode::Text(code) => json!(code),
    }
}

fn reasoning_delta(text: &str) -> Value {
    json!({ "content": "", "reasoning": text, "reasoning_details": [reasoning_detail(text)] })
}

fn reasoning_detail(text: &str) -> Value {
    json!({ "type": "reasoning.text", "text": text, "format": "unknown", "index": 0 })
}

fn annotation(citation: &Citation) -> Value {
    json!({ "type": "url_citation", "url_citation": {
        "url": citation.url,
        "title": citation.title,
        "content": citation.content,
        "start_index": citation.start_index,
        "end_index": citation.end_index,
    }})
}

fn usage_document(usage: &Usage) -> Value {
    let tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
    // Half each: the split is there for its shape, and nothing may rely on it.
    let half = usage.cost.map(|cost| cost / 2.0);
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": tokens,
        "cost": usage.cost,
        "is_byok": false,
        "cost_details": {
            "upstream_inference_cost": null,
            "upstream_inference_prompt_cost": half,
            "upstream_inference_completions_cost": half,
        },
        "prompt_tokens_details": { "cached_tokens": usage.cached_tokens },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning_tokens },
    })
}
