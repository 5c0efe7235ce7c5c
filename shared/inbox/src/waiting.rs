//! Waiting turns in the inbox.

use std::fmt;

use shared_core::outcome::FinishedTurn;

use crate::item::Head;

/// A page of waiting turns, oldest first.
#[derive(Debug, Default)]
pub struct Page {
    /// Readable turns.
    pub turns: Vec<WaitingTurn>,
    /// Unreadable items. They stay until an operator acts.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins, if this is not the last one.
    pub next: Option<Position>,
}

/// A turn that waits to be stored.
#[derive(Clone)]
pub struct WaitingTurn {
    /// The turn.
    pub turn: FinishedTurn,
    pub(crate) head: Head,
}

impl WaitingTurn {
    /// How often storing it has failed.
    pub fn attempts(&self) -> u32 {
        self.head.attempts
    }
}

impl fmt::Debug for WaitingTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingTurn")
            .field("id", &self.head.id)
            .field("attempts", &self.head.attempts)
            .finish_non_exhaustive()
    }
}

/// An item that cannot be read as a waiting turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its sort key: the answer's id and outcome.
    pub id: String,
    /// What is wrong with it.
    pub why: WhyUnreadable,
}

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WhyUnreadable {
    /// Not a head: an attribute is missing or of another type.
    #[error("lacks an attribute")]
    NoHead,
    /// Pieces of the body are missing or damaged.
    #[error("has a body that is incomplete or damaged")]
    Damaged,
    /// The body is intact, but not a turn in this version's format.
    #[error("has a body that is not a finished turn")]
    NotATurn,
}

/// A cursor into the waiting turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub(crate) String);

/// The inbox's depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// All waiting turns, readable or not.
    pub waiting: u64,
    /// Of those, how many have failed before.
    pub failed: u64,
}
