//! A turn's outcome, and the finished turn, which is kept if it cannot be persisted at once.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::file_part::FilePart;
use super::turn::{Placement, Question};
use crate::ids::{ChatId, MessageId, UserId};
use crate::models::ModelId;

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The model finished.
    Complete,
    /// The user stopped it.
    Stopped,
    /// The turn was orphaned (its process is gone); the partial answer is kept.
    Interrupted,
    /// The turn failed; the code says why.
    Failed {
        /// The error code that the client got.
        code: Cow<'static, str>,
        /// BYOK: whether the provider refused the user's own key, which must not be retried then.
        refused_key: bool,
    },
}

impl Outcome {
    /// The answer's status in the database.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A finished turn: all that persisting it needs, even if the database has lost its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishedTurn {
    /// The user.
    pub user: UserId,
    /// Its chat.
    pub chat: ChatId,
    /// Its placement in the chat.
    pub placement: Placement,
    /// The question.
    pub question: Question,
    /// Its files. Items of earlier releases have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FilePart>,
    /// The requested model.
    pub model: ModelId,
    /// The answer's id.
    pub answer_id: MessageId,
    /// The answer, with its usage.
    pub answer: Answer,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}
