//! How a turn ends: the transaction after the model has answered.

use jiff::Timestamp;
use serde::Serialize;
use shared_core::billing::Charge;
use shared_core::chat::{Answer, FinishReason, FinishedTurn, Outcome, Part};
use shared_core::ids::{MessageId, UserId};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::billing::usage_columns::UsageColumns;
use crate::error::{DatabaseError, FinishTurnError};
use crate::{BegunTurn, Database, EncryptedKey, Payer};

/// Not through [`Request`](crate::Request): a user who logs out while the model writes still gets the answer.
pub(super) const FINISH: &str = "select finish_turn($1, $2, $3, $4) as result";

/// The end of a turn, to be stored.
#[derive(Clone, Copy, Debug)]
pub struct TurnEnd<'a> {
    /// The answer's parts, and the usage.
    pub answer: &'a Answer,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// When it ended.
    pub at: Timestamp,
}

/// What `finish_turn` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinishResult {
    /// The end is stored.
    Stored,
    /// Idempotent retry: the same end was committed before, but the acknowledgement was lost.
    Duplicate,
    /// Another end was stored before.
    Superseded,
    /// The chat was deleted, or the turn was withdrawn.
    Deleted {
        /// Whether the turn was open, and has ended now.
        was_open: bool,
    },
    /// There is no such turn.
    Unknown,
}

impl FinishResult {
    pub(super) fn read(rows: &[Row]) -> Result<Self, DatabaseError> {
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no result"))?;
        match row.try_get("result")? {
            "stored" => Ok(Self::Stored),
            "duplicate" => Ok(Self::Duplicate),
            "superseded" => Ok(Self::Superseded),
            "deleted" => Ok(Self::Deleted { was_open: true }),
            "already_deleted" => Ok(Self::Deleted { was_open: false }),
            "unknown" => Ok(Self::Unknown),
            _ => Err(DatabaseError::unexpected("a result")),
        }
    }
}

/// Whether an answer costs what was reserved for it: an empty one costs nothing.
fn is_charged(answer: &Answer) -> bool {
    !answer.is_empty()
}

impl BegunTurn {
    /// The charge for the turn if it ends with this answer.
    pub fn charge(&self, answer: &Answer) -> Charge {
        match &self.payer {
            Payer::Byok(_) => Charge::Byok,
            Payer::Credits { credits, left, of } => {
                let charged = if is_charged(answer) { *credits } else { 0 };
                Charge::Credits {
                    credits: charged,
                    left: left + (credits - charged),
                    of: of.clone(),
                }
            }
        }
    }

    /// The whole turn, to be stored later if its end cannot be stored now.
    pub fn finished(&self, answer: &Answer, outcome: &Outcome, at: Timestamp) -> FinishedTurn {
        FinishedTurn {
            user: self.user,
            chat: self.chat.clone(),
            placement: self.placement.clone(),
            question: self.question.clone(),
            files: self.files.clone(),
            model: self.model.clone(),
            answer_id: self.answer.clone(),
            answer: answer.clone(),
            outcome: outcome.clone(),
            began_at: self.began_at,
            ended_at: at,
        }
    }
}

impl Database {
    /// Stores the answer and its usage, closes it, and settles the payment: one transaction, on disk when it returns.
    /// A turn whose answer is empty costs nothing. Of an answer that was closed as interrupted this is the true end,
    /// which replaces the interrupted one.
    ///
    /// A turn that the database has lost is restored, as [`Jobs::store_finished`](crate::Jobs::store_finished) does.
    /// One whose answer is deleted ends all the same, and that is [`FinishTurnError::AnswerGone`].
    pub async fn finish_turn(
        &self,
        turn: &BegunTurn,
        end: TurnEnd<'_>,
    ) -> Result<(), FinishTurnError> {
        let refused_key = match end.outcome {
            Outcome::Failed { refused_key: true, .. } => turn.payer.key(),
            Outcome::Complete
            | Outcome::Stopped
            | Outcome::Interrupted
            | Outcome::Failed { refused_key: false, .. } => None,
        };
        let finished = self.finish(turn.user, &turn.answer, end, refused_key).await;
        let mut result = finished.map_err(StoreError::from)?;
        if result == FinishResult::Unknown {
            let lost = turn.finished(end.answer, end.outcome, end.at);
            result = self.restore(&lost).await.map_err(StoreError::from)?;
        }
        match result {
            FinishResult::Stored | FinishResult::Duplicate => Ok(()),
            FinishResult::Superseded => Err(FinishTurnError::AnswerNotOpen),
            // Still unknown: its user is deleted.
            FinishResult::Deleted { .. } | FinishResult::Unknown => {
                Err(FinishTurnError::AnswerGone)
            }
        }
    }

    /// Closes the answer of an orphaned turn with the text that is known. It is charged as any answer, and free if it
    /// is empty. An answer that is not open any more stays as it is. Returns whether this call has closed it: of two
    /// concurrent ones, one does.
    pub async fn interrupt_turn(
        &self,
        user: UserId,
        id: &MessageId,
        answer: &Answer,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let end = TurnEnd { answer, outcome: &Outcome::Interrupted, at };
        match self.finish(user, id, end, None).await? {
            FinishResult::Stored | FinishResult::Deleted { was_open: true } => Ok(true),
            FinishResult::Duplicate
            | FinishResult::Superseded
            | FinishResult::Deleted { was_open: false }
            | FinishResult::Unknown => Ok(false),
        }
    }

    /// Finishes a turn of `user`, and marks the key that the provider refused.
    pub(super) async fn finish(
        &self,
        user: UserId,
        id: &MessageId,
        end: TurnEnd<'_>,
        refused_key: Option<&EncryptedKey>,
    ) -> Result<FinishResult, DatabaseError> {
        let fields = Json(FinishParams::new(end, refused_key));
        let rows = self.query(FINISH, &[&user.0, &id.as_str(), &end.at, &fields]).await?;
        FinishResult::read(&rows)
    }
}

/// The `turn_end` of `finish_turn`.
#[derive(Debug, Serialize)]
pub(super) struct FinishParams<'a> {
    status: &'static str,
    turn_state: &'static str,
    parts: &'a [Part],
    model: Option<&'a str>,
    generation_id: Option<&'a str>,
    finish_reason: Option<&'static str>,
    error_code: Option<&'a str>,
    usage: Option<UsageColumns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_key: Option<String>,
}

impl<'a> FinishParams<'a> {
    pub(super) fn new(
        TurnEnd { answer, outcome, .. }: TurnEnd<'a>,
        refused_key: Option<&EncryptedKey>,
    ) -> Self {
        Self {
            status: outcome.as_str(),
            turn_state: if is_charged(answer) { "settled" } else { "released" },
            parts: answer.parts(),
            model: answer.model(),
            generation_id: answer.generation(),
            finish_reason: answer.finish_reason().map(FinishReason::as_str),
            error_code: match outcome {
                Outcome::Complete | Outcome::Stopped | Outcome::Interrupted => None,
                Outcome::Failed { code, .. } => Some(code.as_ref()),
            },
            usage: answer.usage().map(UsageColumns::from),
            refused_key: refused_key.map(|key| hex::encode(key.sealed.nonce)),
        }
    }
}
