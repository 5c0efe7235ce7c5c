//! An answer in the making: what the model says goes in, what the browser is told comes out, and
//! what must be stored is kept.
//!
//! ```text
//! ModelEvent ──▶ Answer::apply ──▶ UiEvent…   (emitted at once, borrowed, nothing copied)
//!                     │
//!                     └──▶ parts, finish reason, usage  (for the transaction at the end)
//! ```
//!
//! Pure: the same events give the same answer, however the bytes that carried them were cut.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::chat::Part;
use crate::model_error::ModelError;

/// One thing that a model says, whoever the provider is.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent<'a> {
    /// More of the answer's text.
    Text(&'a str),
    /// More of the model's reasoning.
    Reasoning(&'a str),
    /// A page that the answer cites.
    Citation {
        /// Where the page is.
        url: &'a str,
        /// What it is called.
        title: Option<&'a str>,
    },
    /// The provider's name for this generation, and the model that really answers (which differs
    /// from the one asked for after a fallback).
    Identified {
        /// Where the provider's records can be looked up.
        generation: &'a str,
        /// The model that answers.
        model: &'a str,
    },
    /// The model stopped, and why.
    Finished(FinishReason),
    /// What it took.
    Used(Usage),
    /// The provider gave up.
    Failed(ModelError),
    /// Nothing more will come.
    Done,
}

/// Why a model stopped; worded as the AI SDK's `finishReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It reached its length limit.
    Length,
    /// A filter cut it off.
    ContentFilter,
    /// It wants a tool.
    ToolCalls,
    /// It failed.
    Error,
    /// Something that this list does not know.
    Other,
}

impl FinishReason {
    /// The word on the wire and in the database.
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

    /// From the word on the wire and in the database.
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

/// What a turn took, as the provider counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u32,
    /// Tokens of the answer that were reasoning.
    pub reasoning_tokens: u32,
    /// Tokens of the prompt that the provider had cached.
    pub cached_tokens: u32,
    /// What the provider charges, in billionths of a US dollar; unknown for some models.
    pub cost_nano_usd: Option<i64>,
}

/// One event of the AI SDK's UI Message Stream v1, borrowed from where its text already is.
#[derive(Clone, Debug, PartialEq)]
pub enum UiEvent<'a> {
    /// A text part opens.
    TextStart {
        /// The part's place in the message.
        part: usize,
    },
    /// More of a text part.
    TextDelta {
        /// The part's place in the message.
        part: usize,
        /// The text to append.
        delta: &'a str,
    },
    /// A text part is complete.
    TextEnd {
        /// The part's place in the message.
        part: usize,
    },
    /// A reasoning part opens.
    ReasoningStart {
        /// The part's place in the message.
        part: usize,
    },
    /// More of a reasoning part.
    ReasoningDelta {
        /// The part's place in the message.
        part: usize,
        /// The text to append.
        delta: &'a str,
    },
    /// A reasoning part is complete.
    ReasoningEnd {
        /// The part's place in the message.
        part: usize,
    },
    /// A source that the answer cites.
    SourceUrl {
        /// Unique within the message.
        source_id: &'a str,
        /// Where the page is.
        url: &'a str,
        /// What it is called.
        title: Option<&'a str>,
    },
}

/// An answer, as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    parts: Vec<Part>,
    /// The text or the reasoning that may still grow.
    open: Option<usize>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    generation: Option<String>,
    model: Option<String>,
}

impl Answer {
    /// Takes in text, reasoning, citations and facts about the generation, and tells `emit` what
    /// the browser has to know.
    ///
    /// [`ModelEvent::Failed`] ends a turn rather than adds to its answer; it changes nothing here.
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
            // Some providers are done without saying why.
            ModelEvent::Done => _ = self.finish.get_or_insert(FinishReason::Other),
            ModelEvent::Failed(_) => {}
        }
    }

    /// Ends the part that is still open, if one is.
    pub fn close(&mut self, emit: &mut impl FnMut(UiEvent<'_>)) {
        let Some(part) = self.open.take() else { return };
        match self.parts[part] {
            Part::Text { .. } => emit(UiEvent::TextEnd { part }),
            Part::Reasoning { .. } => emit(UiEvent::ReasoningEnd { part }),
            Part::SourceUrl { .. } => {}
        }
    }

    /// What has been said so far.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether anything has been said.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Why the model stopped, once it has.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// What it took, once the provider has said so.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The provider's name for this generation.
    pub fn generation(&self) -> Option<&str> {
        self.generation.as_deref()
    }

    /// The model that really answered.
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
            Part::SourceUrl { .. } => {}
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

    /// Providers repeat a citation with every chunk it belongs to; the reader needs it once. It does
    /// not end the text that it stands in.
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
            Part::SourceUrl { .. } => false,
        }
    }

    fn empty(self) -> Part {
        match self {
            Self::Text => Part::Text { text: String::new() },
            Self::Reasoning => Part::Reasoning { text: String::new() },
        }
    }
}

/// Postgres stores no NUL character, in `text` or in `jsonb`: one of them in an answer would lose
/// all of it at the end.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(events: &[ModelEvent<'_>]) -> (Answer, Vec<String>) {
        let mut told = Vec::new();
        let mut answer = Answer::default();
        let mut emit = |event: UiEvent<'_>| told.push(format!("{event:?}"));
        for event in events {
            answer.apply(event, &mut emit);
        }
        answer.close(&mut emit);
        (answer, told)
    }

    #[test]
    fn deltas_of_one_kind_are_one_part() {
        let (answer, told) = apply(&[ModelEvent::Text("Hel"), ModelEvent::Text("lo")]);
        assert_eq!(answer.parts(), [Part::Text { text: "Hello".into() }]);
        assert_eq!(told.len(), 4, "{told:?}");
    }

    #[test]
    fn reasoning_ends_where_the_answer_begins() {
        let (answer, told) = apply(&[ModelEvent::Reasoning("hm"), ModelEvent::Text("yes")]);
        assert_eq!(answer.parts().len(), 2);
        assert_eq!(
            told.iter().map(|t| t.split(' ').next().unwrap()).collect::<Vec<_>>(),
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
    fn a_citation_is_told_once() {
        let cite = ModelEvent::Citation { url: "https://a.example", title: Some("A") };
        let (answer, told) =
            apply(&[ModelEvent::Text("see "), cite.clone(), ModelEvent::Text("A"), cite]);
        assert_eq!(answer.parts()[0], Part::Text { text: "see A".into() });
        assert_eq!(answer.parts().len(), 2);
        assert_eq!(told.iter().filter(|t| t.starts_with("SourceUrl")).count(), 1);
    }

    #[test]
    fn an_empty_delta_opens_no_part() {
        let (answer, told) = apply(&[ModelEvent::Text(""), ModelEvent::Reasoning("")]);
        assert!(answer.is_empty() && told.is_empty());
    }

    #[test]
    fn a_nul_character_does_not_reach_the_database() {
        let (answer, _) = apply(&[ModelEvent::Text("a\0b"), ModelEvent::Text("\0")]);
        assert_eq!(answer.parts(), [Part::Text { text: "ab".into() }]);
    }
}
