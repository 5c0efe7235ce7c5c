//! Finished turns in the inbox, while Postgres cannot store them.

use shared_core::chat::FinishedTurn;
use shared_inbox::{InboxError, InboxItem, Kind};

/// Turns that have ended, and whose end is not stored.
pub const TURNS: Kind = Kind::new("turn");

/// The body is not a turn in this version's format. Holds no content of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has a body that is not a finished turn")]
pub struct NotATurn;

/// The item of a turn. Its id is `<answer>#<user>#<outcome>`: answers' ids sort by time (`UUIDv7`), and an answer that
/// was closed as interrupted may still get its true end; Postgres decides which of the two wins.
pub fn inbox_item(turn: &FinishedTurn) -> Result<InboxItem, InboxError> {
    let id = format!("{}#{}#{}", turn.answer_id, turn.user, turn.outcome.as_str());
    // The error is dropped, here and below: it may repeat its input.
    let body = serde_json::to_vec(turn).map_err(|_| InboxError::Unwritable)?;
    Ok(InboxItem { kind: TURNS, id, body })
}

/// The turn of an item.
pub fn finished_turn(item: &InboxItem) -> Result<FinishedTurn, NotATurn> {
    serde_json::from_slice(&item.body).map_err(|_| NotATurn)
}
