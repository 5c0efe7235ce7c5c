//! How a turn ends: the transaction after the model has answered.

use jiff::Timestamp;
use shared_core::answer::{Answer, FinishReason};
use shared_core::credits::Charge;
use shared_core::ids::{MessageId, UserId};
use shared_core::outcome::{FinishedTurn, Outcome};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};

use crate::payment::EncryptedKey;
use crate::usage_columns::UsageColumns;
use crate::{BegunTurn, Database, DatabaseError, Payer, provider_keys};

/// Not through [`Request`](crate::Request): somebody who logs out while the model speaks still gets the
/// answer.
pub(crate) const BE_USER: &str = "select set_config('app.user_id', $1::uuid::text, true)";

/// Closes an answer and ends its turn; the function is in the sixth migration.
pub(crate) const FINISH: &str =
    "select finish_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// What the last transaction stores.
#[derive(Clone, Copy, Debug)]
pub struct TurnEnd<'a> {
    /// What was said, and what it took.
    pub answer: &'a Answer,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// When.
    pub at: Timestamp,
}

/// What became of an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishResult {
    /// It is stored.
    Now,
    /// It was stored already; whoever did it was not told.
    Same,
    /// Another one was stored before.
    Other,
    /// The chat was deleted, or the turn taken back; if it was still open, it has ended now.
    Gone {
        /// Whether it was.
        was_open: bool,
    },
    /// There is no such turn.
    Unknown,
}

impl FinishResult {
    pub(crate) fn read(row: &Row) -> Result<Self, DatabaseError> {
        match row.try_get(0)? {
            "now" => Ok(Self::Now),
            "same" => Ok(Self::Same),
            "other" => Ok(Self::Other),
            "gone" => Ok(Self::Gone { was_open: true }),
            "long gone" => Ok(Self::Gone { was_open: false }),
            "unknown" => Ok(Self::Unknown),
            _ => Err(DatabaseError::unexpected("an end")),
        }
    }
}

/// Whether an answer costs what was reserved for it: one that says nothing costs nothing.
fn has_price(answer: &Answer) -> bool {
    !answer.is_empty()
}

impl BegunTurn {
    /// What the turn costs if it ends with this answer.
    pub fn charge(&self, answer: &Answer) -> Charge {
        match &self.payer {
            Payer::Byok(_) => Charge::Byok,
            Payer::Credits { credits, left, of } => {
                let charged = if has_price(answer) { *credits } else { 0 };
                Charge::Credits {
                    credits: charged,
                    left: left + (credits - charged),
                    of: of.clone(),
                }
            }
        }
    }

    /// All that has to be kept of the turn, if its end cannot be stored now.
    pub fn finished(&self, answer: &Answer, outcome: &Outcome, at: Timestamp) -> FinishedTurn {
        FinishedTurn {
            user: self.user,
            chat: self.chat.clone(),
            place: self.place.clone(),
            question: self.question.clone(),
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
    /// Stores the answer and what it took, closes it, and settles who pays: one transaction, on disk when
    /// it returns. A turn whose model said nothing costs nothing. Of an answer that was given up as
    /// interrupted this is the true end, which replaces what was known of it.
    ///
    /// A turn that the database has forgotten is made anew, as
    /// [`Jobs::store_finished`](crate::Jobs::store_finished) does. One whose answer is deleted ends all the
    /// same, and that is [`DatabaseError::AnswerGone`].
    pub async fn finish_turn(
        &self,
        turn: &BegunTurn,
        end: TurnEnd<'_>,
    ) -> Result<(), DatabaseError> {
        let refused_key = match end.outcome {
            Outcome::Failed { refused_key: true, .. } => turn.payer.key(),
            Outcome::Complete
            | Outcome::Stopped
            | Outcome::Interrupted
            | Outcome::Failed { refused_key: false, .. } => None,
        };
        let mut finished = self.close(turn.user, &turn.answer, end, refused_key).await?;
        if finished == FinishResult::Unknown {
            let forgotten = turn.finished(end.answer, end.outcome, end.at);
            finished = self.restore(&forgotten).await?;
        }
        match finished {
            FinishResult::Now | FinishResult::Same => Ok(()),
            FinishResult::Other => Err(DatabaseError::AnswerNotOpen),
            // Who is still unknown has no user.
            FinishResult::Gone { .. } | FinishResult::Unknown => Err(DatabaseError::AnswerGone),
        }
    }

    /// Closes somebody's answer whose turn died with whoever ran it, with what is known that the model said.
    /// It costs what any answer costs, and is free if it says nothing. One that is not open any more stays
    /// as it is. Answers whether this has ended it: of two at once, one does.
    pub async fn interrupt_turn(
        &self,
        user: UserId,
        id: &MessageId,
        answer: &Answer,
        at: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let end = TurnEnd { answer, outcome: &Outcome::Interrupted, at };
        match self.close(user, id, end, None).await? {
            FinishResult::Now | FinishResult::Gone { was_open: true } => Ok(true),
            FinishResult::Same
            | FinishResult::Other
            | FinishResult::Gone { was_open: false }
            | FinishResult::Unknown => Ok(false),
        }
    }

    /// One transaction of one user: who it is, what became of the answer, and the key that was refused.
    pub(crate) async fn close(
        &self,
        user: UserId,
        id: &MessageId,
        end: TurnEnd<'_>,
        refused_key: Option<&EncryptedKey>,
    ) -> Result<FinishResult, DatabaseError> {
        let params = &FinishParams::new(id, end);
        self.retrying(|client| async move {
            let (be_user, finish, mark) = tokio::try_join!(
                biased;
                client.prepare_cached(BE_USER),
                client.prepare_cached(FINISH),
                async {
                    match refused_key {
                        Some(key) => Ok(Some((client.prepare_cached(provider_keys::MARK_REFUSED).await?, key))),
                        None => Ok(None),
                    }
                },
            )?;
            let params = params.params();
            let mark_refused = async {
                let Some((mark, key)) = &mark else { return Ok(0) };
                client.execute(mark, &[&user.0, &key.sealed.nonce.as_slice(), &end.at]).await
            };
            let (begun, known, finished, marked, committed) = tokio::join!(
                biased;
                client.batch_execute("begin"),
                async { client.execute(&be_user, &[&user.0]).await },
                client.query_one(&finish, &params),
                mark_refused,
                client.batch_execute("commit"),
            );
            // In the order in which they were sent: the first that failed says why.
            begun?;
            known?;
            let finished = FinishResult::read(&finished?)?;
            marked?;
            committed?;
            Ok(finished)
        })
        .await
    }
}

/// What `finish_turn` is given.
pub(crate) struct FinishParams<'a> {
    id: &'a str,
    status: &'static str,
    ended_as: &'static str,
    parts: Json<&'a [shared_core::chat::Part]>,
    model: Option<&'a str>,
    generation: Option<&'a str>,
    reason: Option<&'static str>,
    error_code: Option<&'a str>,
    usage_columns: UsageColumns,
    at: Timestamp,
}

impl<'a> FinishParams<'a> {
    pub(crate) fn new(id: &'a MessageId, TurnEnd { answer, outcome, at }: TurnEnd<'a>) -> Self {
        Self {
            id: id.as_str(),
            status: outcome.as_str(),
            ended_as: if has_price(answer) { "settled" } else { "released" },
            parts: Json(answer.parts()),
            model: answer.model(),
            generation: answer.generation(),
            reason: answer.finish_reason().map(FinishReason::as_str),
            error_code: match outcome {
                Outcome::Complete | Outcome::Stopped | Outcome::Interrupted => None,
                Outcome::Failed { code, .. } => Some(code.as_ref()),
            },
            usage_columns: UsageColumns::new(answer.usage()),
            at,
        }
    }

    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 14] {
        let [prompt, completion, reasoning, cached, cost] = self.usage_columns.params();
        [
            &self.id,
            &self.status,
            &self.ended_as,
            &self.parts,
            &self.model,
            &self.generation,
            &self.reason,
            &self.error_code,
            prompt,
            completion,
            reasoning,
            cached,
            cost,
            &self.at,
        ]
    }
}
