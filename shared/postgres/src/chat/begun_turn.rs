//! A turn that has begun and not ended.

use jiff::Timestamp;
use shared_core::billing::PlanId;
use shared_core::chat::{Context, FilePart, Placement, Question};
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::models::ModelId;

use crate::Payer;

/// A turn whose question is stored and whose answer is open.
#[derive(Clone, Debug)]
pub struct BegunTurn {
    /// The turn's user.
    pub user: UserId,
    /// The chat.
    pub chat: ChatId,
    /// The open answer.
    pub answer: MessageId,
    /// The model that is asked.
    pub model: ModelId,
    /// The question; when it is regenerated, as it was stored.
    pub question: Question,
    /// Its files, as they were stored with it.
    pub files: Vec<FilePart>,
    /// The earlier messages and the summary.
    pub context: Context,
    /// The user's plan.
    pub plan: PlanId,
    /// Who pays.
    pub payer: Payer,
    /// When it began.
    pub began_at: Timestamp,
    /// Its placement, for withdrawing it.
    pub(crate) placement: Placement,
}

impl BegunTurn {
    /// Whether a model would be asked the same, for the same payer's key: the question, its files, the context and the plan.
    pub fn has_same_input(&self, other: &Self) -> bool {
        self.question == other.question
            && self.files == other.files
            && self.context == other.context
            && self.plan == other.plan
            && self.payer.key() == other.payer.key()
    }
}
