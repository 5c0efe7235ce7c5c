//! How a turn ends, and all that has to be kept of it if it cannot be stored at once.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::catalogue::ModelId;
use crate::ids::{ChatId, MessageId, UserId};
use crate::turn::{Placement, Question};

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The model was done.
    Complete,
    /// The user stopped it.
    Stopped,
    /// Whoever ran it is gone; what the model had said until then is kept.
    Interrupted,
    /// It broke off; the code says why.
    Failed {
        /// The same code as the client was given.
        code: Cow<'static, str>,
        /// Whether it was because the provider refuses the user's own key, which nobody is to try again.
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

/// A turn that has ended: what storing it needs, also where the database has forgotten its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishedTurn {
    /// Whose turn it was.
    pub user: UserId,
    /// Its chat.
    pub chat: ChatId,
    /// Where in the chat it went.
    pub placement: Placement,
    /// What was asked.
    pub question: Question,
    /// The model that was asked.
    pub model: ModelId,
    /// The answer's id.
    pub answer_id: MessageId,
    /// What was said, and what it took.
    pub answer: Answer,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}
