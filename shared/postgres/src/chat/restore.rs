//! Turns that ended while the database was away, or whose beginning it has lost.

use jiff::Timestamp;
use serde::Serialize;
use shared_core::chat::{FilePart, FinishedTurn, Part, title_of};
use shared_core::ids::{ChatId, MessageId};
use shared_core::store::StoreError;
use shared_core::uploads::UploadId;
use tokio_postgres::types::Json;

use super::finish::{FinishParams, FinishResult};
use super::placement::PlacementFields;
use crate::error::DatabaseError;
use crate::{Database, Jobs, TurnEnd};

const RESTORE: &str = "select restore_turn($1, $2, $3, $4) as result";

/// What [`Jobs::store_finished`] did with a finished turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreResult {
    /// It is stored.
    Stored,
    /// It was stored before.
    Duplicate,
    /// The chat or the user is deleted, so there is nowhere to store it. Its credits are not reserved any more.
    Deleted,
}

impl Jobs {
    /// Stores a finished turn, once, whatever has happened since: an answer that is open or was closed as interrupted
    /// gets its true end. A turn that the database has lost, because it crashed before the beginning was on disk, is
    /// restored in its place in the chat, and is free.
    ///
    /// Fails for good only if the user's client has reused the ids of a lost turn for another chat or message.
    pub async fn store_finished(&self, turn: &FinishedTurn) -> Result<StoreResult, StoreError> {
        let mut result = self.database.finish(turn.user, &turn.answer_id, end(turn), None).await?;
        if result == FinishResult::Unknown {
            result = self.database.restore(turn).await?;
        }
        Ok(match result {
            FinishResult::Stored => StoreResult::Stored,
            FinishResult::Duplicate | FinishResult::Superseded => StoreResult::Duplicate,
            // Still unknown: its user is deleted.
            FinishResult::Deleted { .. } | FinishResult::Unknown => StoreResult::Deleted,
        })
    }
}

/// The `turn` of `restore_turn`.
#[derive(Debug, Serialize)]
struct LostTurnFields<'a> {
    chat: &'a ChatId,
    title: String,
    answer: &'a MessageId,
    model: &'a str,
    #[serde(flatten)]
    placement: PlacementFields<'a>,
    parts: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<UploadId>,
    began_at: Timestamp,
}

impl Database {
    /// Restores a turn that is not there, if its user is, and finishes it.
    pub(super) async fn restore(&self, turn: &FinishedTurn) -> Result<FinishResult, DatabaseError> {
        let fields = Json(LostTurnFields {
            chat: &turn.chat,
            title: title(turn),
            answer: &turn.answer_id,
            model: turn.model.as_str(),
            placement: (&turn.placement).into(),
            parts: parts(turn),
            files: turn.files.iter().filter_map(FilePart::upload).collect(),
            began_at: turn.began_at,
        });
        let turn_end = Json(FinishParams::new(end(turn), None));
        let params = &[&turn.user.0 as _, &turn.ended_at as _, &fields as _, &turn_end as _];
        FinishResult::read(&self.query(RESTORE, params).await?)
    }
}

/// Of a question without text, its first file's name.
fn title(turn: &FinishedTurn) -> String {
    let title = title_of(turn.question.as_str());
    match turn.files.first() {
        Some(file) if title.is_empty() => title_of(&file.filename),
        Some(_) | None => title,
    }
}

fn parts(turn: &FinishedTurn) -> Vec<Part> {
    turn.question.to_parts().into_iter().chain(turn.files.iter().cloned().map(Part::File)).collect()
}

fn end(turn: &FinishedTurn) -> TurnEnd<'_> {
    TurnEnd { answer: &turn.answer, outcome: &turn.outcome, at: turn.ended_at }
}
