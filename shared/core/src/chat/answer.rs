//! An answer in progress: model events go in, UI stream events come out, and what must be persisted
//! is kept.
//!
//! ```text
//! ModelEvent ──▶ Answer::apply ──▶ UiEvent…   (emitted at once, borrowed, nothing copied)
//!                     │
//!                     └──▶ parts, finish reason, usage  (for the transaction at the end)
//! ```
//!
//! Pure: the same events give the same answer, however the stream was split into chunks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::message::Part;
use crate::models::ModelError;

/// One event of a model's stream, independent of the provider.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent<'a> {
    /// More of the answer's text.
    Text(&'a str),
    /// More of the model's reasoning.
    Reasoning(&'a str),
    /// A page that the answer cites.
    Citation {
        /// The page's URL.
        url: &'a str,
        /// Its title.
        title: Option<&'a str>,
    },
    /// The provider's generation id, and the model that actually answers (after a fallback not the
    /// requested one).
    Identified {
        /// The generation id, for looking up the provider's records.
        generation: &'a str,
        /// The model that answers.
        model: &'a str,
    },
    /// The model stopped, and why.
    Finished(FinishReason),
    /// The generation's usage.
    Used(Usage),
    /// The provider failed.
    Failed(ModelError),
    /// The end of the stream.
    Done,
}

/// Why a model stopped; worded as the AI SDK's `finishReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The answer is complete.
    Stop,
    /// It reached its length limit.
    Length,
    /// A filter cut it off.
    ContentFilter,
    /// It requests a tool call.
    ToolCalls,
    /// It failed.
    Error,
    /// Any other reason.
    Other,
}

impl FinishReason {
    /// The value on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content-filter",
            Self::ToolCalls => "tool-calls",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    /// Parses the value on the wire and in the database.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Stop,
            Self::Length,
            Self::ContentFilter,
            Self::ToolCalls,
            Self::Error,
            Self::Other,
        ];
        all.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// A turn's usage, as the provider counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u32,
    /// Tokens of the answer that were reasoning.
    pub reasoning_tokens: u32,
    /// Tokens of the prompt read from the provider's cache.
    pub cached_tokens: u32,
    /// What the provider charges, in billionths of a US dollar; unknown for some models.
    pub cost_nano_usd: Option<i64>,
}

/// One event of the AI SDK's UI Message Stream v1; borrows its text.
#[derive(Clone, Debug, PartialEq)]
pub enum UiEvent<'a> {
    /// A text part opens.
    TextStart {
        /// The part's index in the message.
        part: usize,
    },
    /// More of a text part.
    TextDelta {
        /// The part's index in the message.
        part: usize,
        /// The text to append.
        delta: &'a str,
    },
    /// A text part is complete.
    TextEnd {
        /// The part's index in the message.
        part: usize,
    },
    /// A reasoning part opens.
    ReasoningStart {
        /// The part's index in the message.
        part: usize,
    },
    /// More of a reasoning part.
    ReasoningDelta {
        /// The part's index in the message.
        part: usize,
        /// The text to append.
        delta: &'a str,
    },
    /// A reasoning part is complete.
    ReasoningEnd {
        /// The part's index in the message.
        part: usize,
    },
    /// A source that the answer cites.
    SourceUrl {
        /// Unique within the message.
        source_id: &'a str,
        /// The page's URL.
        url: &'a str,
        /// Its title.
        title: Option<&'a str>,
    },
}

/// An answer, complete or still growing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    parts: Vec<Part>,
    /// The index of the text or reasoning part that may still grow.
    open: Option<usize>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    generation: Option<String>,
    model: Option<String>,
}

impl Answer {
    /// Applies a model event, and passes the resulting UI events to `emit`.
    ///
    /// [`ModelEvent::Failed`] ends the turn rather than adds to its answer: a no-op here.
    pub fn apply(&mut self, event: &ModelEvent<'_>, emit: &mut impl FnMut(UiEvent<'_>)) {
        match *event {
            ModelEvent::Text(delta) => self.grow(Kind::Text, delta, emit),
            ModelEvent::Reasoning(delta) => self.grow(Kind::Reasoning, delta, emit),
            ModelEvent::Citation { url, title } => self.cite(url, title, emit),
            ModelEvent::Identified { generation, model } => {
                if self.generation.is_none() {
                    self.generation = Some(without_nul(generation).into_owned());
                    self.model = Some(without_nul(model).into_owned());
                }
            }
            ModelEvent::Finished(reason) => self.finish = Some(reason),
            ModelEvent::Used(usage) => self.usage = Some(usage),
            // Some providers end without a finish reason.
            ModelEvent::Done => _ = self.finish.get_or_insert(FinishReason::Other),
            ModelEvent::Failed(_) => {}
        }
    }

    /// Closes the open part, if any.
    pub fn close(&mut self, emit: &mut impl FnMut(UiEvent<'_>)) {
        let Some(part) = self.open.take() else { return };
        match self.parts[part] {
            Part::Text { .. } => emit(UiEvent::TextEnd { part }),
            Part::Reasoning { .. } => emit(UiEvent::ReasoningEnd { part }),
            Part::SourceUrl { .. } | Part::File(_) => {}
        }
    }

    /// The parts so far.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether there are no parts yet.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Why the model stopped, once it has.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// The usage, once the provider has reported it.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The provider's generation id.
    pub fn generation(&self) -> Option<&str> {
        self.generation.as_deref()
    }

    /// The model that actually answered.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn grow(&mut self, kind: Kind, delta: &str, emit: &mut impl FnMut(UiEvent<'_>)) {
        let delta = without_nul(delta);
        if delta.is_empty() {
            return;
        }
        let part = match self.open {
            Some(open) if kind.is(&self.parts[open]) => open,
            _ => self.begin(kind, emit),
        };
        match &mut self.parts[part] {
            Part::Text { text } | Part::Reasoning { text } => text.push_str(&delta),
            Part::SourceUrl { .. } | Part::File(_) => {}
        }
        let delta = delta.as_ref();
        emit(match kind {
            Kind::Text => UiEvent::TextDelta { part, delta },
            Kind::Reasoning => UiEvent::ReasoningDelta { part, delta },
        });
    }

    fn begin(&mut self, kind: Kind, emit: &mut impl FnMut(UiEvent<'_>)) -> usize {
        self.close(emit);
        self.parts.push(kind.empty());
        let part = self.parts.len() - 1;
        self.open = Some(part);
        emit(match kind {
            Kind::Text => UiEvent::TextStart { part },
            Kind::Reasoning => UiEvent::ReasoningStart { part },
        });
        part
    }

    /// Adds a source once: providers repeat a citation with every chunk it belongs to. Does not close
    /// the open text part.
    fn cite(&mut self, url: &str, title: Option<&str>, emit: &mut impl FnMut(UiEvent<'_>)) {
        let (url, title) = (without_nul(url), title.map(without_nul));
        let known =
            |part: &Part| matches!(part, Part::SourceUrl { url: known, .. } if *known == *url);
        if self.parts.iter().any(known) {
            return;
        }
        let source_id = self.parts.len().to_string();
        emit(UiEvent::SourceUrl { source_id: &source_id, url: &url, title: title.as_deref() });
        self.parts.push(Part::SourceUrl {
            source_id,
            url: url.into_owned(),
            title: title.map(Cow::into_owned),
        });
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Reasoning,
}

impl Kind {
    fn is(self, part: &Part) -> bool {
        match part {
            Part::Text { .. } => matches!(self, Self::Text),
            Part::Reasoning { .. } => matches!(self, Self::Reasoning),
            Part::SourceUrl { .. } | Part::File(_) => false,
        }
    }

    fn empty(self) -> Part {
        match self {
            Self::Text => Part::Text { text: String::new() },
            Self::Reasoning => Part::Reasoning { text: String::new() },
        }
    }
}

/// Strips NUL characters: Postgres rejects them in `text` and `jsonb`, so a single one would lose the
/// whole answer when it is persisted.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(events: &[ModelEvent<'_>]) -> (Answer, Vec<String>) {
        let mut emitted = Vec::new();
        let mut answer = Answer::default();
        let mut emit = |event: UiEvent<'_>| emitted.push(format!("{event:?}"));
        for event in events {
            answer.apply(event, &mut emit);
        }
        answer.close(&mut emit);
        (answer, emitted)
    }

    #[test]
    fn deltas_of_one_kind_are_one_part() {
        let (answer, emitted) = apply(&[ModelEvent::Text("Hel"), ModelEvent::Text("lo")]);
        assert_eq!(answer.parts(), [Part::Text { text: "Hello".into() }]);
        assert_eq!(emitted.len(), 4, "{emitted:?}");
    }

    #[test]
    fn reasoning_ends_where_the_answer_begins() {
        let (answer, emitted) = apply(&[ModelEvent::Reasoning("hm"), ModelEvent::Text("yes")]);
        assert_eq!(answer.parts().len(), 2);
        assert_eq!(
            emitted.iter().map(|t| t.split(' ').next().unwrap()).collect::<Vec<_>>(),
            [
                "ReasoningStart",
                "ReasoningDelta",
                "ReasoningEnd",
                "TextStart",
                "TextDelta",
                "TextEnd"
            ]
        );
    }

    #[test]
    fn a_repeated_citation_is_emitted_once() {
        let cite = ModelEvent::Citation { url: "https://a.example", title: Some("A") };
        let (answer, emitted) =
            apply(&[ModelEvent::Text("see "), cite.clone(), ModelEvent::Text("A"), cite]);
        assert_eq!(answer.parts()[0], Part::Text { text: "see A".into() });
        assert_eq!(answer.parts().len(), 2);
        assert_eq!(emitted.iter().filter(|t| t.starts_with("SourceUrl")).count(), 1);
    }

    #[test]
    fn an_empty_delta_opens_no_part() {
        let (answer, emitted) = apply(&[ModelEvent::Text(""), ModelEvent::Reasoning("")]);
        assert!(answer.is_empty() && emitted.is_empty());
    }

    #[test]
    fn a_nul_character_does_not_reach_the_database() {
        let (answer, _) = apply(&[ModelEvent::Text("a\0b"), ModelEvent::Text("\0")]);
        assert_eq!(answer.parts(), [Part::Text { text: "ab".into() }]);
    }
}
