//! A turn: one question and its answer. What may be asked, and how it fails.

use serde::{Deserialize, Serialize};

use crate::answer::without_nul;
use crate::catalogue::{ModelId, ModelPricing};
use crate::chat::Part;
use crate::credits::TurnDenied;
use crate::ids::{ChatId, MalformedId, MessageId};
use crate::limits::LimitReached;
use crate::model_error::ModelError;
use crate::session::SessionError;

/// Text of a question: not empty, within the size that was configured, without NUL characters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Question(String);

impl Question {
    /// Joins a message's text parts. `limit` is in bytes of UTF-8.
    pub fn parse<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        limit: usize,
    ) -> Result<Self, TurnError> {
        let mut question = String::new();
        for text in texts {
            question.push_str(&without_nul(text));
            if question.len() > limit {
                return Err(TurnError::QuestionTooLong { limit });
            }
        }
        if question.trim().is_empty() { Err(TurnError::EmptyQuestion) } else { Ok(Self(question)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The question as it is stored.
    pub fn to_parts(&self) -> [Part; 1] {
        [Part::Text { text: self.0.clone() }]
    }
}

/// Never what was asked.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({} bytes)", self.0.len())
    }
}

/// Where in its chat's tree a turn goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// A new question below the newest message; the chat is made if it does not exist.
    Append {
        /// The new question's id.
        question: MessageId,
    },
    /// A question that replaces an earlier one, under the id that the client goes on using. The
    /// earlier one steps aside: it stays, with its answers, as a sibling under another id.
    Edit {
        /// The question's id, old and new.
        question: MessageId,
        /// The id that the replaced question gets.
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

/// A client's name for one attempt to do something, under which it may send it again. The value of
/// the header `idempotency-key`: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Accepts what the header may hold.
    pub fn parse(raw: &str) -> Result<Self, TurnError> {
        let is_well_formed =
            (1..=255).contains(&raw.len()) && raw.bytes().all(|b| (b' '..=b'~').contains(&b));
        if is_well_formed { Ok(Self(raw.to_owned())) } else { Err(TurnError::MalformedKey) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// All that a turn needs to know before it begins.
#[derive(Clone, Debug)]
pub struct NewTurn {
    /// The chat.
    pub chat: ChatId,
    /// Where it goes.
    pub placement: Placement,
    /// What is asked.
    pub question: Question,
    /// The id that the answer will have.
    pub answer: MessageId,
    /// The model that is asked.
    pub model: ModelId,
    /// What it asks of the user's plan.
    pub pricing: ModelPricing,
    /// The client's name for this attempt.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewTurn {
    /// The same turn with another id for its answer.
    #[must_use]
    pub fn tried_again(&self) -> Self {
        let answer = MessageId::parse(&format!("{}-2", self.answer));
        Self { answer: answer.unwrap_or_else(|_| self.answer.clone()), ..self.clone() }
    }

    /// The same question as a new one, if it was to replace or to repeat one that is not there:
    /// one that was refused before it could be stored, and that the person sends again.
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

/// Why a turn did not begin, or how it broke off.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
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
        /// What was asked for.
        model: String,
    },
    /// There is no such chat, or it is somebody else's: the two cannot be told apart.
    #[error("there is no such chat of yours")]
    ChatNotFound,
    /// The message to answer again or to replace is not in this chat.
    #[error("there is no such message in this chat")]
    MessageNotFound,
    /// A message with this id is already stored.
    #[error("a message with this id has already been sent")]
    MessageExists,
    /// The chat's last turn is still running.
    #[error("an answer is still being written in this chat; wait for its end, or stop it")]
    Running {
        /// Its answer.
        answer: MessageId,
    },
    /// The header `idempotency-key` is not well formed.
    #[error("an idempotency key is 1 to 255 printable ASCII characters")]
    MalformedKey,
    /// The idempotency key was used for another question.
    #[error("this idempotency key was used for another question; draw a new one")]
    KeyReused,
    /// Too many streams were asked for again.
    #[error("you follow answers too often; try again in {} s", .0.retry_after.as_secs())]
    FollowedTooOften(LimitReached),
    /// The cache is away, which holds what running turns have said.
    #[error("the answer cannot be followed right now; it is not lost, and will be in the chat")]
    ResumeUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cache is away, through which running turns are stopped.
    #[error("the answer cannot be stopped right now; try again")]
    StopUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Whoever ran the turn is gone.
    #[error("the answer broke off on our side; what the model said until then is kept")]
    Interrupted,
    /// No session, or one that has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Too many turns.
    #[error("your plan allows {} turns a minute; try again in {} s", .0.limit.count, .0.retry_after.as_secs())]
    Limited(#[from] LimitReached),
    /// Postgres is away, or did not answer in time: no model was asked.
    #[error("the chat cannot be reached right now; try again in a moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The user's plan does not allow it, or nobody pays.
    #[error(transparent)]
    Denied(#[from] TurnDenied),
    /// The user's own key cannot be opened: it was sealed for somebody else, or by a key that is gone.
    #[error("your key can no longer be read here; replace it or remove it in the settings")]
    KeyUnreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The model did not answer.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The answer was made but could not be stored.
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
    fn a_question_has_to_say_something_and_to_fit() {
        assert!(matches!(Question::parse(["  \n"], 10), Err(TurnError::EmptyQuestion)));
        assert!(matches!(Question::parse([], 10), Err(TurnError::EmptyQuestion)));
        assert!(Question::parse(["12345"], 5).is_ok());
        assert!(matches!(
            Question::parse(["12345", "6"], 5),
            Err(TurnError::QuestionTooLong { limit: 5 })
        ));
    }

    #[test]
    fn a_question_does_not_print_itself() {
        assert_eq!(format!("{:?}", Question::parse(["secret"], 10).unwrap()), "Question(6 bytes)");
    }
}
