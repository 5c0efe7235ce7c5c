//! A turn: one question and its answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::without_nul;
use super::message::Part;
use super::turn_error::InvalidTurn;
use crate::idempotency_key::IdempotencyKey;
use crate::ids::{ChatId, MessageId};
use crate::models::{ModelId, ModelPricing};
use crate::uploads::UploadId;

/// The age at which an open turn is orphaned: Lambda ends an invocation at 300 s, and the clock skew
/// between two machines is less than the rest.
pub const ORPHANED_AFTER: Duration = Duration::from_secs(330);

/// A question's text: within the configured size, without NUL characters; empty only if the question has files.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Question(String);

impl Question {
    /// Joins a message's text parts. `limit` is in bytes of UTF-8.
    pub fn parse<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        limit: usize,
    ) -> Result<Self, InvalidTurn> {
        let mut question = String::new();
        for text in texts {
            question.push_str(&without_nul(text));
            if question.len() > limit {
                return Err(InvalidTurn::QuestionTooLong { limit });
            }
        }
        if question.trim().is_empty() {
            Err(InvalidTurn::EmptyQuestion)
        } else {
            Ok(Self(question))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The question in its stored form, without its files.
    pub fn to_parts(&self) -> Vec<Part> {
        let is_empty = self.0.is_empty();
        if is_empty { Vec::new() } else { vec![Part::Text { text: self.0.clone() }] }
    }
}

/// Redacted: prints the length only.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({} bytes)", self.0.len())
    }
}

/// A turn's placement in its chat's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// A new question below the newest message; the chat is created if it does not exist.
    Append {
        /// The new question's id.
        question: MessageId,
    },
    /// A question that replaces an earlier one, under the id that the client keeps using. The
    /// earlier one is displaced: it stays, with its answers, as a sibling under another id.
    Edit {
        /// The question's id, old and new.
        question: MessageId,
        /// The id that the displaced question gets.
        displaced_id: MessageId,
    },
    /// Another answer to a question that is already stored.
    Regenerate {
        /// The stored question's id.
        question: MessageId,
    },
}

impl Placement {
    /// The question's id.
    pub fn question(&self) -> &MessageId {
        match self {
            Self::Append { question }
            | Self::Edit { question, .. }
            | Self::Regenerate { question } => question,
        }
    }
}

/// The input of a new turn.
#[derive(Clone, Debug)]
pub struct NewTurn {
    /// The chat.
    pub chat: ChatId,
    /// Its placement.
    pub placement: Placement,
    /// The question.
    pub question: Question,
    /// Its files.
    pub files: Vec<UploadId>,
    /// The id that the answer will have.
    pub answer: MessageId,
    /// The requested model.
    pub model: ModelId,
    /// The model's tier and price.
    pub pricing: ModelPricing,
    /// The client's idempotency key.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewTurn {
    /// The same turn with another answer id, for a retry.
    #[must_use]
    pub fn retried(&self) -> Self {
        let answer = MessageId::parse(&format!("{}-2", self.answer));
        Self { answer: answer.unwrap_or_else(|_| self.answer.clone()), ..self.clone() }
    }

    /// Turns an edit or a regeneration into an append, for a question that is not there: it was
    /// denied before it could be stored, and the user retries it.
    pub fn as_new_question(&self) -> Option<Self> {
        match &self.placement {
            Placement::Append { .. } => None,
            Placement::Edit { question, .. } | Placement::Regenerate { question } => Some(Self {
                placement: Placement::Append { question: question.clone() },
                ..self.clone()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_several_parts_is_one_text() {
        assert_eq!(Question::parse(["a", "b\0c"], 10).unwrap().as_str(), "abc");
    }

    #[test]
    fn an_empty_or_too_long_question_is_refused() {
        assert!(matches!(Question::parse(["  \n"], 10), Err(InvalidTurn::EmptyQuestion)));
        assert!(matches!(Question::parse([], 10), Err(InvalidTurn::EmptyQuestion)));
        assert!(Question::parse(["12345"], 5).is_ok());
        assert!(matches!(
            Question::parse(["12345", "6"], 5),
            Err(InvalidTurn::QuestionTooLong { limit: 5 })
        ));
    }

    #[test]
    fn debug_output_redacts_the_question() {
        assert_eq!(format!("{:?}", Question::parse(["secret"], 10).unwrap()), "Question(6 bytes)");
    }
}
