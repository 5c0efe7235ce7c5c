//! Turns that died with whoever ran them, as a job finds and closes them.

use jiff::Timestamp;
use shared_core::answer::Answer;
use shared_core::ids::{MessageId, UserId};
use tokio_postgres::{Row, types};

use crate::{DatabaseError, Jobs, TurnPlace};

/// An answer may be open whose turn is not: former versions ended the turn alone. `union` makes one row of
/// what is open in both.
const STALE: &str = "
    select user_id, answer_id, began_at
      from turns
     where state = 'open'
       and began_at < $1
       and (began_at, answer_id) > ($2, $3)
    union
    select user_id, id, created_at
      from messages
     where status = 'streaming'
       and created_at < $1
       and (created_at, id) > ($2, $3)
     order by 3, 2
     limit $4";

/// A turn that has not ended, and should have. Its chat may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanedTurn {
    /// Whose it is.
    pub user: UserId,
    /// Its answer.
    pub answer: MessageId,
    /// When it began.
    pub began_at: Timestamp,
}

impl OrphanedTurn {
    /// Where the next page begins if this is the last of one.
    pub fn place(&self) -> TurnPlace {
        TurnPlace { began_at: self.began_at, answer: self.answer.clone() }
    }
}

impl Jobs {
    /// At most `limit` turns that began before `orphaned_before` and have not ended, the oldest first, `after`
    /// one of them.
    pub async fn orphaned_turns(
        &self,
        orphaned_before: Timestamp,
        after: Option<&TurnPlace>,
        limit: usize,
    ) -> Result<Vec<OrphanedTurn>, DatabaseError> {
        let after_time = after.map(|place| place.began_at);
        // Nothing began earlier than that.
        let after_time = after_time.map_or(types::Timestamp::NegInfinity, types::Timestamp::Value);
        let after_answer = after.map_or("", |place| place.answer.as_str());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            self.query(STALE, &[&orphaned_before, &after_time, &after_answer, &limit]).await?;
        rows.iter().map(orphaned_turn).collect()
    }

    /// Closes a turn that died, as [`Database::interrupt_turn`](crate::Database::interrupt_turn) does.
    pub async fn interrupt(
        &self,
        turn: &OrphanedTurn,
        answer: &Answer,
        at: Timestamp,
    ) -> Result<bool, DatabaseError> {
        self.database.interrupt_turn(turn.user, &turn.answer, answer, at).await
    }
}

fn orphaned_turn(row: &Row) -> Result<OrphanedTurn, DatabaseError> {
    let answer = MessageId::parse(row.try_get(1)?);
    Ok(OrphanedTurn {
        user: UserId(row.try_get(0)?),
        answer: answer.map_err(|error| DatabaseError::Unavailable(error.into()))?,
        began_at: row.try_get(2)?,
    })
}
