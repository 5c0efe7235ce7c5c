//! What waits in the inbox.

use std::fmt;

use shared_core::outcome::FinishedTurn;

use crate::item::Head;

/// Some of the turns that wait, those that began first before the others.
#[derive(Debug, Default)]
pub struct Page {
    /// Those that can be stored.
    pub turns: Vec<WaitingTurn>,
    /// Those that cannot be read. They stay where they are until somebody looks after them.
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

/// An item among the waiting turns that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its sort key: the answer's id and how it ended.
    pub id: String,
    /// What is wrong with it.
    pub why: WhyUnreadable,
}

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WhyUnreadable {
    /// It is no head: an attribute is missing or of another type.
    #[error("lacks an attribute")]
    NoHead,
    /// Pieces of the body are missing, or not what was written.
    #[error("has a body that is incomplete or damaged")]
    Damaged,
    /// The body is whole, and not a turn as this version knows it.
    #[error("has a body that is not a finished turn")]
    NotATurn,
}

/// A place among the waiting turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub(crate) String);

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// All that waits, readable or not.
    pub waiting: u64,
    /// Of those, how many failed before.
    pub failed: u64,
}
