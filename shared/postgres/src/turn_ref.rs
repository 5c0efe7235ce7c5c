//! Turns that are there already: for who sends a question again, follows an answer or stops it.

use jiff::Timestamp;
use shared_core::answer::{FinishReason, Usage};
use shared_core::chat::{AnswerStatus, Message, Part, Role};
use shared_core::credits::Charge;
use shared_core::ids::{ChatId, MessageId};
use shared_core::plans::PlanId;
use shared_core::turn::{IdempotencyKey, NewTurn, Placement};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::turn::columns;
use crate::usage_columns::usage;
use crate::{DatabaseError, Request};

/// By its key if it has one that is known, or else by its question. A new question has been asked before if
/// any answer stands below it; to edit one, or to ask it again, is a new turn unless the same is running.
///
/// A turn that broke off without a word holds no key, as in `begin_turn`, and comes after any other.
const REPEATED: &str = "
    with by_key as (
      select t.answer_id
        from turns t
        join messages m on m.id = t.answer_id
       where t.user_id = $1
         and t.idempotency_key = $2
         and t.state <> 'withdrawn'
         and not (t.state = 'released' and m.status in ('failed', 'interrupted') and m.parts = '[]')
    ), by_question as (
      select id
        from messages
       where chat_id = $3
         and parent_id = $4
         and role = 'assistant'
         and ($5 = 'next' or status = 'streaming')
         and not exists (select from by_key)
       order by status in ('failed', 'interrupted') and parts = '[]', created_at desc
       limit 1
    )
    select a.chat_id, a.id, a.status, a.created_at, q.id, q.parts, exists (select from by_key)
      from messages a
      join messages q on q.id = a.parent_id
     where a.id in (select answer_id from by_key union all select id from by_question)";

/// A row without an answer says that the chat is there.
const OF_CHAT: &str = "
    select a.chat_id, a.id, a.status, a.created_at
      from chats c
      left join messages a on a.id = coalesce($2, c.head_id)
                          and a.chat_id = c.id
                          and a.role = 'assistant'
     where c.id = $1";

const STORED: &str = "
    select m.status, m.parts, m.model, m.finish_reason, m.error_code,
           m.prompt_tokens, m.completion_tokens, m.reasoning_tokens, m.cached_tokens, m.cost_nano_usd,
           t.paid_by, t.plan, case t.state when 'settled' then t.credits else 0 end, a.balance
      from messages m
      left join turns t on t.answer_id = m.id and t.state in ('settled', 'released')
      left join allowances a on (a.user_id, a.plan, a.starts_at) = (t.user_id, t.plan, t.starts_at)
     where m.id = $1
       and m.role = 'assistant'";

/// A turn that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRef {
    /// Its chat.
    pub chat: ChatId,
    /// Its answer.
    pub answer: MessageId,
    /// How far the answer has come.
    pub status: AnswerStatus,
    /// When it began.
    pub began_at: Timestamp,
}

/// A turn that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateTurn {
    /// The turn that began when it was first sent.
    pub turn: TurnRef,
    /// Whether it asks the same. If not, somebody has used an id or a key twice.
    pub is_same: bool,
    /// Whether it is known by its idempotency key, and not by its question.
    pub is_by_key: bool,
}

/// An answer as it is stored: all that is needed to tell it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// How far it has come. Of one that is still streaming, the rest is not known yet.
    pub status: AnswerStatus,
    /// What was said.
    pub parts: Vec<Part>,
    /// The model that answered, or that was asked.
    pub model: Option<String>,
    /// Why the model stopped, if it did.
    pub finish_reason: Option<FinishReason>,
    /// Why it failed, if it did: the code that its reader was given.
    pub error_code: Option<String>,
    /// What it took, if that is known.
    pub usage: Option<Usage>,
    /// Who paid, and what; what is left is what is left now. Nothing if nobody did: the turn is not settled,
    /// or the database had forgotten it.
    pub charge: Option<Charge>,
}

impl Request<'_> {
    /// The turn that `turn` repeats: what [`DatabaseError::DuplicateTurn`] and [`DatabaseError::TurnRunning`] may be about.
    /// Nothing if it repeats none, or one whose chat is deleted.
    ///
    /// A new question repeats its newest answer that says anything, whatever became of that, or one that
    /// broke off without a word if there is no other; a key never repeats such a one. An edited question repeats the
    /// answer that is being given to the same text; asking again, the one that is being given.
    pub async fn duplicate_of(
        &self,
        turn: &NewTurn,
    ) -> Result<Option<DuplicateTurn>, DatabaseError> {
        let key = turn.idempotency_key.as_ref().map(IdempotencyKey::as_str);
        let (place, question, _) = columns(&turn.place);
        let (chat, question) = (turn.chat.as_str(), question.as_str());
        let rows =
            self.query(REPEATED, &[&self.session.user.0, &key, &chat, &question, &place]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let known = duplicate_of(row)?;
        let asked: String = row.try_get(4)?;
        let Json(parts): Json<Vec<Part>> = row.try_get(5)?;
        let is_by_key: bool = row.try_get(6)?;
        let is_same_text = Message { role: Role::User, parts }.text() == turn.question.as_str();
        let (is_same, is_known) = match &turn.place {
            Placement::Append { .. } => (is_same_text, true),
            // Another text for the question is another edit.
            Placement::Edit { .. } => (is_same_text, is_by_key || is_same_text),
            // What is asked again is what is stored.
            Placement::Regenerate { .. } => (asked == question, true),
        };
        let is_same = is_same && known.chat == turn.chat;
        Ok(is_known.then_some(DuplicateTurn { turn: known, is_same, is_by_key }))
    }

    /// The newest turn of a chat, or the one whose answer is named. Nothing if it has none or does not hold
    /// that answer.
    pub async fn turn_of(
        &self,
        chat: &ChatId,
        answer: Option<&MessageId>,
    ) -> Result<Option<TurnRef>, DatabaseError> {
        let answer = answer.map(MessageId::as_str);
        let rows = self.query(OF_CHAT, &[&chat.as_str(), &answer]).await?;
        let row = rows.first().ok_or(DatabaseError::ChatNotFound)?;
        row.try_get::<_, Option<&str>>(1)?.map(|_| duplicate_of(row)).transpose()
    }

    /// An answer as it is stored, if it is this user's.
    pub async fn stored_answer(
        &self,
        answer: &MessageId,
    ) -> Result<Option<StoredAnswer>, DatabaseError> {
        let rows = self.query(STORED, &[&answer.as_str()]).await?;
        rows.first().map(stored_answer).transpose()
    }
}

/// The first four columns of each query here.
fn duplicate_of(row: &Row) -> Result<TurnRef, DatabaseError> {
    let malformed = |error| DatabaseError::Unavailable(Box::new(error));
    Ok(TurnRef {
        chat: ChatId::parse(row.try_get(0)?).map_err(malformed)?,
        answer: MessageId::parse(row.try_get(1)?).map_err(malformed)?,
        status: status(row.try_get(2)?)?,
        began_at: row.try_get(3)?,
    })
}

fn stored_answer(row: &Row) -> Result<StoredAnswer, DatabaseError> {
    let Json(parts) = row.try_get(1)?;
    Ok(StoredAnswer {
        status: status(row.try_get(0)?)?,
        parts,
        model: row.try_get(2)?,
        finish_reason: row.try_get::<_, Option<&str>>(3)?.and_then(FinishReason::parse),
        error_code: row.try_get(4)?,
        usage: usage(row, 5)?,
        charge: charge(row)?,
    })
}

fn charge(row: &Row) -> Result<Option<Charge>, DatabaseError> {
    let of = match row.try_get(10)? {
        None => return Ok(None),
        Some("byok") => return Ok(Some(Charge::Byok)),
        Some(_) => PlanId::parse(row.try_get(11)?),
    };
    Ok(Some(Charge::Credits {
        credits: row.try_get::<_, i32>(12)?.unsigned_abs(),
        left: row.try_get::<_, i32>(13)?.unsigned_abs(),
        of: of.ok_or_else(|| DatabaseError::unexpected("a plan's id"))?,
    }))
}

fn status(word: &str) -> Result<AnswerStatus, DatabaseError> {
    AnswerStatus::parse(word).ok_or_else(|| DatabaseError::unexpected("an answer's status"))
}
