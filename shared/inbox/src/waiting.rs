//! What waits in the inbox.

use crate::InboxItem;
use crate::head::Head;

/// A page of waiting items, in the order of their ids.
#[derive(Debug, Default)]
pub struct WaitingPage {
    /// Readable items.
    pub items: Vec<WaitingItem>,
    /// Unreadable items. They stay until an operator acts.
    pub unreadable: Vec<UnreadableItem>,
    /// Where the next page begins, if this is not the last one.
    pub next: Option<Position>,
}

/// An item that waits.
#[derive(Clone, Debug)]
pub struct WaitingItem {
    /// The item.
    pub item: InboxItem,
    /// How often processing it has failed.
    pub attempts: u32,
    pub(crate) pieces: usize,
}

impl WaitingItem {
    /// A small item that this process has put itself, which need not be read to be done.
    pub fn just_put(item: InboxItem) -> Self {
        Self { item, attempts: 0, pieces: 0 }
    }

    pub(crate) fn head(&self) -> Head {
        Head::new(self.item.kind, &self.item.id, self.pieces)
    }
}

/// A waiting item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableItem {
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
