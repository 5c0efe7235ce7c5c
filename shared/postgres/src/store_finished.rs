//! Turns that ended while the database was away, or whose beginning it has forgotten.

use shared_core::chat::title_of;
use shared_core::outcome::FinishedTurn;
use tokio_postgres::types::{Json, ToSql};

use crate::finish::{BE_USER, FINISH, FinishParams, FinishResult};
use crate::turn::columns;
use crate::{Database, DatabaseError, Jobs, TurnEnd};

/// Makes a forgotten turn anew, with an open answer; the function is in the sixth migration.
const RESTORE: &str = "select restore_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// What became of a finished turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Now,
    /// It was stored before.
    Already,
    /// There is nowhere to store it: the user has deleted the chat, or is gone. Nothing is reserved for it
    /// any more.
    Gone,
}

impl Jobs {
    /// Stores a finished turn, once, whatever has happened since: an answer that is open or was given up
    /// as interrupted is closed with its true end. A turn that the database has forgotten, because it
    /// crashed before the beginning was on disk, is made anew in its place in the chat, and is free.
    ///
    /// It fails for good only if somebody else has used the ids of a forgotten turn for a chat or a
    /// message of their own since.
    pub async fn store_finished(&self, turn: &FinishedTurn) -> Result<Stored, DatabaseError> {
        let mut finished = self.database.close(turn.user, &turn.answer_id, end(turn), None).await?;
        if finished == FinishResult::Unknown {
            finished = self.database.restore(turn).await?;
        }
        Ok(match finished {
            FinishResult::Now => Stored::Now,
            FinishResult::Same | FinishResult::Other => Stored::Already,
            // Who is still unknown has no user.
            FinishResult::Gone { .. } | FinishResult::Unknown => Stored::Gone,
        })
    }
}

impl Database {
    /// Makes a turn anew that is not there, if its user is, and finishes it.
    pub(crate) async fn restore(&self, turn: &FinishedTurn) -> Result<FinishResult, DatabaseError> {
        let (place, question, displaced_id) = columns(&turn.place);
        let title = title_of(turn.question.as_str());
        let parts = Json(turn.question.to_parts());
        let restored: &[&(dyn ToSql + Sync)] = &[
            &turn.user.0,
            &turn.chat.as_str(),
            &title,
            &place,
            &question.as_str(),
            &displaced_id,
            &parts,
            &turn.answer_id.as_str(),
            &turn.model.as_str(),
            &turn.began_at,
        ];
        let params = &FinishParams::new(&turn.answer_id, end(turn));
        self.retrying(|client| async move {
            let (be_user, restore, finish) = tokio::try_join!(
                biased;
                client.prepare_cached(BE_USER),
                client.prepare_cached(RESTORE),
                client.prepare_cached(FINISH),
            )?;
            let params = params.params();
            let (begun, known, restored, finished, committed) = tokio::join!(
                biased;
                client.batch_execute("begin"),
                async { client.execute(&be_user, &[&turn.user.0]).await },
                client.execute(&restore, restored),
                client.query_one(&finish, &params),
                client.batch_execute("commit"),
            );
            begun?;
            known?;
            restored?;
            let finished = FinishResult::read(&finished?)?;
            committed?;
            Ok(finished)
        })
        .await
    }
}

fn end(turn: &FinishedTurn) -> TurnEnd<'_> {
    TurnEnd { answer: &turn.answer, outcome: &turn.outcome, at: turn.ended_at }
}
