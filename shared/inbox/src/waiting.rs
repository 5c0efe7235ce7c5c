//! What waits in the inbox.

use std::fmt;

use crate::head::Head;

/// A kind of items: each has partitions of its own, named after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub(crate) &'static str);

impl Kind {
    /// The kind with this name, without `#`.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

/// An item: bytes of a kind, under an id.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxItem {
    /// Its kind.
    pub kind: Kind,
    /// Its id, unique in its kind. Items wait in the order of their ids.
    pub id: String,
    /// Its content.
    pub body: Vec<u8>,
}

/// Prints no content.
impl fmt::Debug for InboxItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, body: _ } = self;
        f.debug_struct("InboxItem").field("kind", kind).field("id", id).finish_non_exhaustive()
    }
}

/// A page of waiting items, in the order of their ids.
#[derive(Debug, Default)]
pub struct WaitingPage {
    /// Readable items.
    pub items: Vec<WaitingItem>,
    /// Unreadable items. They stay until an operator acts.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins, if this is not the last one.
    pub next: Option<Position>,
}

/// An item that waits.
#[derive(Clone, Debug)]
pub struct WaitingItem {
    /// The item.
    pub item: InboxItem,
    pub(crate) head: Head,
}

impl WaitingItem {
    /// How often processing it has failed.
    pub fn attempts(&self) -> u32 {
        self.head.attempts
    }
}

/// A waiting item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its id.
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
}

/// A cursor into the waiting items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub(crate) String);

/// How many items of a kind wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// All of them, readable or not.
    pub waiting: u64,
    /// Of those, how many have failed before.
    pub failed: u64,
}
