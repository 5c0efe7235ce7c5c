//! A turn: one question and its answer, their validation and their errors.

use serde::{Deserialize, Serialize};

use crate::answer::without_nul;
use crate::catalogue::{ModelId, ModelPricing};
use crate::chat::Part;
use crate::credits::TurnDenied;
use crate::ids::{ChatId, MalformedId, MessageId};
use crate::limits::LimitReached;
use crate::model_error::ModelError;
use crate::store::{BoxError, StoreError};

/// A question's text: not empty, within the configured size, without NUL characters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    /// The question in its stored form.
    pub fn to_parts(&self) -> [Part; 1] {
        [Part::Text { text: self.0.clone() }]
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

/// A client's key for one request, under which a retry is idempotent. The value of the header
/// `idempotency-key`: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Accepts a well-formed value of the header.
    pub fn parse(raw: &str) -> Result<Self, InvalidTurn> {
        let is_well_formed =
            (1..=255).contains(&raw.len()) && raw.bytes().all(|b| (b' '..=b'~').contains(&b));
        if is_well_formed { Ok(Self(raw.to_owned())) } else { Err(InvalidTurn::MalformedKey) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
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

/// Why a request cannot be read as a turn.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTurn {
    /// An id is not well formed.
    #[error("{field}: {source}")]
    MalformedId {
        /// The field that holds it.
        field: &'static str,
        /// Why.
        source: MalformedId,
    },
    /// There is no message in the request.
    #[error("send the question as `message`, or as the last of `messages`")]
    NoMessage,
    /// The last message is not the user's.
    #[error("the last message has to be the user's")]
    NotAQuestion,
    /// Nothing but white space.
    #[error("the message is empty")]
    EmptyQuestion,
    /// Too much text.
    #[error("the message is longer than {limit} bytes")]
    QuestionTooLong {
        /// The limit, in bytes of UTF-8.
        limit: usize,
    },
    /// A part that is not text.
    #[error("a message can hold text only, not a part of type {kind:?}")]
    UnsupportedPart {
        /// The part's type.
        kind: String,
    },
    /// The model is not offered.
    #[error("there is no model {model:?} here; GET /api/models lists those there are")]
    UnknownModel {
        /// The requested model.
        model: String,
    },
    /// The header `idempotency-key` is not well formed.
    #[error("an idempotency key is 1 to 255 printable ASCII characters")]
    MalformedKey,
}

/// The turn that a request names cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum TurnLookupError {
    /// The user has no such chat.
    #[error("there is no such chat of yours")]
    ChatNotFound,
    /// The message is not in the chat.
    #[error("there is no such message in this chat")]
    MessageNotFound,
    /// Postgres failed.
    #[error("the chat cannot be reached right now; try again in a moment")]
    Store(#[from] StoreError),
}

/// Why a turn was not begun, or its question not sent to the model.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The chat, or the message to edit or to regenerate, is not there; or Postgres failed, and no model was called.
    #[error(transparent)]
    Lookup(#[from] TurnLookupError),
    /// A message with this id is already stored.
    #[error("a message with this id has already been sent")]
    MessageExists,
    /// The chat's last turn is still running.
    #[error("an answer is still being written in this chat; wait for its end, or stop it")]
    Running {
        /// Its answer.
        answer: MessageId,
    },
    /// The idempotency key was used for another question.
    #[error("this idempotency key was used for another question; draw a new one")]
    KeyReused,
    /// Too many turns.
    #[error("your plan allows {} turns a minute; try again in {} s", .0.limit.count, .0.retry_after.as_secs())]
    Limited(#[from] LimitReached),
    /// The user's plan does not allow it, or payment was denied.
    #[error(transparent)]
    Denied(#[from] TurnDenied),
    /// BYOK: the user's own key cannot be decrypted: encrypted for another user, or under a lost key.
    #[error("your key can no longer be read here; replace it or remove it in the settings")]
    KeyUnreadable(#[source] BoxError),
    /// The turn is a duplicate, and the first one's stream cannot be followed.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The model did not answer.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl From<StoreError> for SendError {
    fn from(error: StoreError) -> Self {
        Self::Lookup(error.into())
    }
}

/// Why a stream was not resumed, or why following it ended early.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// There is no such turn.
    #[error(transparent)]
    Lookup(#[from] TurnLookupError),
    /// Too many streams were resumed.
    #[error("you follow answers too often; try again in {} s", .0.retry_after.as_secs())]
    TooOften(LimitReached),
    /// The cache, which holds the live log of running turns, is unavailable; or the log has a gap.
    #[error("the answer cannot be followed right now; it is not lost, and will be in the chat")]
    Unavailable(#[source] BoxError),
}

/// Why a turn was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// There is no such turn.
    #[error(transparent)]
    Lookup(#[from] TurnLookupError),
    /// The cache, through which running turns are stopped, is unavailable.
    #[error("the answer cannot be stopped right now; try again")]
    Unavailable(#[source] BoxError),
}

/// How an answer failed after its stream had begun.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The turn was orphaned: its process is gone.
    #[error("the answer broke off on our side; what the model said until then is kept")]
    Interrupted,
    /// The answer is complete but could not be persisted.
    #[error("the answer could not be saved; copy it before you leave this page")]
    NotSaved,
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
