//! Turns that died with whoever ran them, as a job finds and closes them.

use jiff::Timestamp;
use shared_core::answer::Answer;
use shared_core::ids::{MessageId, UserId};
use tokio_postgres::{Row, types};

use crate::{Error, Jobs, TurnPlace};

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
pub struct StaleTurn {
    /// Whose it is.
    pub user: UserId,
    /// Its answer.
    pub answer: MessageId,
    /// When it began.
    pub began_at: Timestamp,
}

impl StaleTurn {
    /// Where the next page begins if this is the last of one.
    pub fn place(&self) -> TurnPlace {
        TurnPlace { began_at: self.began_at, answer: self.answer.clone() }
    }
}

impl Jobs {
    /// At most `limit` turns that began before `dead_since` and have not ended, the oldest first, `after`
    /// one of them.
    pub async fn stale_turns(
        &self,
        dead_since: Timestamp,
        after: Option<&TurnPlace>,
        limit: usize,
    ) -> Result<Vec<StaleTurn>, Error> {
        let after_time = after.map(|place| place.began_at);
        // Nothing began earlier than that.
        let after_time = after_time.map_or(types::Timestamp::NegInfinity, types::Timestamp::Value);
        let after_answer = after.map_or("", |place| place.answer.as_str());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(STALE, &[&dead_since, &after_time, &after_answer, &limit]).await?;
        rows.iter().map(stale_turn).collect()
    }

    /// Closes a turn that died, as [`Database::interrupt_turn`](crate::Database::interrupt_turn) does.
    pub async fn interrupt(
        &self,
        turn: &StaleTurn,
        answer: &Answer,
        at: Timestamp,
    ) -> Result<bool, Error> {
        self.database.interrupt_turn(turn.user, &turn.answer, answer, at).await
    }
}

fn stale_turn(row: &Row) -> Result<StaleTurn, Error> {
    let answer = MessageId::parse(row.try_get(1)?);
    Ok(StaleTurn {
        user: UserId(row.try_get(0)?),
        answer: answer.map_err(|error| Error::Unavailable(error.into()))?,
        began_at: row.try_get(2)?,
    })
}
