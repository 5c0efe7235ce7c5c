//! Orphaned turns: their process is gone. A job finds and closes those that no request came upon.

use jiff::Timestamp;
use shared_core::chat::Answer;
use shared_core::ids::{MessageId, UserId};
use shared_core::store::StoreError;
use tokio_postgres::{Row, types};
use uuid::Uuid;

use crate::Jobs;
use crate::error::DatabaseError;

const ORPHANED: &str = "
    select user_id, answer_id, began_at
      from turns
     where state = 'open'
       and began_at < $1
       and began_at >= (select open_since from orphan_sweep)
       and (began_at, user_id, answer_id) > ($2, $3, $4)
     order by began_at, user_id, answer_id
     limit $5";

/// The oldest open turn, or what was looked through.
const ADVANCE: &str = "
    update orphan_sweep
       set open_since = coalesce(
             (select min(began_at)
                from turns
               where state = 'open' and began_at >= orphan_sweep.open_since and began_at < $1),
             $1)
     where open_since < $1";

/// An open turn that began so long ago that its process must be gone. Its chat may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanedTurn {
    /// The turn's user.
    pub user: UserId,
    /// Its answer.
    pub answer: MessageId,
    /// When it began.
    pub began_at: Timestamp,
}

/// A position in the list of orphaned turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanedCursor {
    began_at: Timestamp,
    user: UserId,
    answer: MessageId,
}

impl OrphanedTurn {
    /// The cursor of the page after this turn.
    pub fn cursor(&self) -> OrphanedCursor {
        let Self { user, answer, began_at } = self.clone();
        OrphanedCursor { began_at, user, answer }
    }
}

impl Jobs {
    /// At most `limit` open turns that began before `orphaned_before`, the oldest first, `after` one of them.
    pub async fn orphaned_turns(
        &self,
        orphaned_before: Timestamp,
        after: Option<&OrphanedCursor>,
        limit: usize,
    ) -> Result<Vec<OrphanedTurn>, StoreError> {
        let (began_at, user, answer) = match after {
            Some(OrphanedCursor { began_at, user, answer }) => {
                (types::Timestamp::Value(*began_at), user.0, answer.as_str())
            }
            None => (types::Timestamp::NegInfinity, Uuid::nil(), ""),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            self.query(ORPHANED, &[&orphaned_before, &began_at, &user, &answer, &limit]).await?;
        Ok(rows.iter().map(orphaned_turn).collect::<Result<_, _>>()?)
    }

    /// Notes that all turns which began before `orphaned_before` were looked at, so that the next run does not read those
    /// that have ended again.
    pub async fn note_orphan_sweep(&self, orphaned_before: Timestamp) -> Result<(), StoreError> {
        self.query(ADVANCE, &[&orphaned_before]).await?;
        Ok(())
    }

    /// Closes an orphaned turn, as [`Database::interrupt_turn`](crate::Database::interrupt_turn) does.
    pub async fn interrupt(
        &self,
        turn: &OrphanedTurn,
        answer: &Answer,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.database.interrupt_turn(turn.user, &turn.answer, answer, at).await
    }
}

fn orphaned_turn(row: &Row) -> Result<OrphanedTurn, DatabaseError> {
    Ok(OrphanedTurn {
        user: UserId(row.try_get("user_id")?),
        answer: DatabaseError::stored(MessageId::parse(row.try_get("answer_id")?))?,
        began_at: row.try_get("began_at")?,
    })
}
