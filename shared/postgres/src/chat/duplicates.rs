//! Turns that exist already: duplicates of a request, and turns that a client resumes or stops.

use jiff::Timestamp;
use shared_core::billing::{Charge, PlanId};
use shared_core::chat::{
    AnswerStatus, FilePart, FinishReason, Message, NewTurn, Part, Placement, Role, Usage,
};
use shared_core::idempotency_key::IdempotencyKey;
use shared_core::ids::{ChatId, MessageId};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::placement::PlacementFields;
use crate::Request;
use crate::billing::usage_columns::usage;
use crate::error::DatabaseError;

/// By the idempotency key if it is known, or else by the question. A new question is a duplicate if any answer is below
/// it; an edit or a regeneration is one only while the same turn is running.
///
/// A turn that broke off without a word holds no key, as in `begin_turn`, and comes after any other.
const DUPLICATE: &str = "
    with by_key as (
      select t.answer_id
        from turns t
        join messages m on m.user_id = t.user_id and m.id = t.answer_id
       where t.user_id = $1
         and t.idempotency_key = $2
         and t.state <> 'withdrawn'
         and not (t.state = 'released' and m.status in ('failed', 'interrupted') and m.parts = '[]')
    ), by_question as (
      select id
        from messages
       where user_id = $1
         and chat_id = $3
         and parent_id = $4
         and role = 'assistant'
         and ($5 = 'append' or status = 'streaming')
         and not exists (select from by_key)
       order by status in ('failed', 'interrupted') and parts = '[]', created_at desc
       limit 1
    )
    select a.chat_id, a.id as answer_id, a.status, a.created_at as began_at,
           q.id as question_id, q.parts as question, exists (select from by_key) as is_by_key
      from messages a
      join messages q on q.user_id = a.user_id and q.id = a.parent_id
     where a.user_id = $1
       and a.id in (select answer_id from by_key union all select id from by_question)";

/// A row without an answer: the chat exists.
const OF_CHAT: &str = "
    select a.chat_id, a.id as answer_id, a.status, a.created_at as began_at
      from chats c
      left join messages a on a.user_id = c.user_id
                          and a.id = coalesce($3, c.head_id)
                          and a.chat_id = c.id
                          and a.role = 'assistant'
     where c.user_id = $1
       and c.id = $2";

const STORED: &str = "
    select m.status, m.parts, m.model, m.finish_reason, m.error_code,
           m.prompt_tokens, m.completion_tokens, m.reasoning_tokens, m.cached_tokens, m.cost_nano_usd,
           t.paid_by, t.plan, case t.state when 'settled' then t.credits else 0 end as credits, a.balance
      from messages m
      left join turns t on t.user_id = m.user_id and t.answer_id = m.id and t.state in ('settled', 'released')
      left join allowances a on (a.user_id, a.plan, a.starts_at) = (t.user_id, t.plan, t.starts_at)
     where m.user_id = $1
       and m.id = $2
       and m.role = 'assistant'";

/// A turn that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRef {
    /// Its chat.
    pub chat: ChatId,
    /// Its answer.
    pub answer: MessageId,
    /// The answer's status.
    pub status: AnswerStatus,
    /// When it began.
    pub began_at: Timestamp,
}

/// What was found under a chat's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnLookup {
    /// The user has no such chat.
    NoChat,
    /// The chat has no turn, or not the one with the given answer.
    NoTurn,
    /// The turn.
    Turn(TurnRef),
}

/// The turn that a duplicate request repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateTurn {
    /// The turn that the first request began.
    pub turn: TurnRef,
    /// Whether it asks the same. If not, an id or an idempotency key was reused for something else.
    pub is_same: bool,
    /// Whether it was found by its idempotency key, and not by its question.
    pub is_by_key: bool,
}

/// An answer as it is stored: what a replay needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The status. While it is streaming, the rest is not known yet.
    pub status: AnswerStatus,
    /// The parts.
    pub parts: Vec<Part>,
    /// The model that answered, or that was asked.
    pub model: Option<String>,
    /// Why the model ended, if it did.
    pub finish_reason: Option<FinishReason>,
    /// Why the turn failed, if it did: the code that the client was given.
    pub error_code: Option<String>,
    /// The usage, if it is known.
    pub usage: Option<Usage>,
    /// The charge, with the balance of this moment. None if nothing was charged: the turn is not settled, or was lost
    /// by the database and restored.
    pub charge: Option<Charge>,
}

impl Request<'_> {
    /// The turn that `turn` repeats, after [`BeginTurnError::Duplicate`](crate::BeginTurnError::Duplicate) or
    /// [`BeginTurnError::Running`](crate::BeginTurnError::Running). None if
    /// it repeats none, or one whose chat is deleted.
    ///
    /// A new question repeats its newest answer that has any text, whatever its status, or one that broke off without
    /// a word if there is no other; a key never repeats such a one. An edited question repeats the running answer to
    /// the same text and files; a regeneration, the running answer.
    pub async fn duplicate_of(&self, turn: &NewTurn) -> Result<Option<DuplicateTurn>, StoreError> {
        let key = turn.idempotency_key.as_ref().map(IdempotencyKey::as_str);
        let PlacementFields { placement, question, .. } = (&turn.placement).into();
        let (user, chat, question) = (&self.session.user.0, turn.chat.as_str(), question.as_str());
        let rows = self.query(DUPLICATE, &[user, &key, &chat, &question, &placement]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let First { turn: first, question: asked, content, is_by_key } = first(row)?;
        let is_same_content = content.text() == turn.question.as_str()
            && content.files().map(FilePart::upload).eq(turn.files.iter().copied().map(Some));
        let (is_same, is_duplicate) = match &turn.placement {
            Placement::Append { .. } => (is_same_content, true),
            // Another text or another file for the question is another edit.
            Placement::Edit { .. } => (is_same_content, is_by_key || is_same_content),
            // The stored question is asked, whatever the request says.
            Placement::Regenerate { .. } => (asked == question, true),
        };
        let is_same = is_same && first.chat == turn.chat;
        Ok(is_duplicate.then_some(DuplicateTurn { turn: first, is_same, is_by_key }))
    }

    /// The newest turn of a chat, or the one with the given answer.
    pub async fn turn_of(
        &self,
        chat: &ChatId,
        answer: Option<&MessageId>,
    ) -> Result<TurnLookup, StoreError> {
        let answer = answer.map(MessageId::as_str);
        let rows = self.query(OF_CHAT, &[&self.session.user.0, &chat.as_str(), &answer]).await?;
        Ok(rows.first().map_or(Ok(TurnLookup::NoChat), turn_lookup)?)
    }

    /// The stored answer, if the user has one with this id.
    pub async fn stored_answer(
        &self,
        answer: &MessageId,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let rows = self.query(STORED, &[&self.session.user.0, &answer.as_str()]).await?;
        Ok(rows.first().map(stored_answer).transpose()?)
    }
}

/// The first request of a duplicate.
struct First {
    turn: TurnRef,
    /// The question's id.
    question: String,
    content: Message,
    is_by_key: bool,
}

fn first(row: &Row) -> Result<First, DatabaseError> {
    let Json(parts): Json<Vec<Part>> = row.try_get("question")?;
    Ok(First {
        turn: turn_ref(row)?,
        question: row.try_get("question_id")?,
        content: Message { role: Role::User, parts },
        is_by_key: row.try_get("is_by_key")?,
    })
}

fn turn_lookup(row: &Row) -> Result<TurnLookup, DatabaseError> {
    let answer: Option<&str> = row.try_get("answer_id")?;
    Ok(match answer {
        Some(_) => TurnLookup::Turn(turn_ref(row)?),
        None => TurnLookup::NoTurn,
    })
}

fn turn_ref(row: &Row) -> Result<TurnRef, DatabaseError> {
    Ok(TurnRef {
        chat: DatabaseError::stored(ChatId::parse(row.try_get("chat_id")?))?,
        answer: DatabaseError::stored(MessageId::parse(row.try_get("answer_id")?))?,
        status: status(row)?,
        began_at: row.try_get("began_at")?,
    })
}

fn stored_answer(row: &Row) -> Result<StoredAnswer, DatabaseError> {
    let Json(parts) = row.try_get("parts")?;
    let finish_reason: Option<&str> = row.try_get("finish_reason")?;
    Ok(StoredAnswer {
        status: status(row)?,
        parts,
        model: row.try_get("model")?,
        finish_reason: finish_reason.and_then(FinishReason::parse),
        error_code: row.try_get("error_code")?,
        usage: usage(row)?,
        charge: charge(row)?,
    })
}

fn charge(row: &Row) -> Result<Option<Charge>, DatabaseError> {
    let of = match row.try_get("paid_by")? {
        None => return Ok(None),
        Some("byok") => return Ok(Some(Charge::Byok)),
        Some(_) => PlanId::parse(row.try_get("plan")?),
    };
    Ok(Some(Charge::Credits {
        credits: row.try_get::<_, i32>("credits")?.unsigned_abs(),
        left: row.try_get::<_, i32>("balance")?.unsigned_abs(),
        of: of.ok_or_else(|| DatabaseError::unexpected("a plan's id"))?,
    }))
}

fn status(row: &Row) -> Result<AnswerStatus, DatabaseError> {
    AnswerStatus::parse(row.try_get("status")?)
        .ok_or_else(|| DatabaseError::unexpected("an answer's status"))
}
