//! An item of the inbox, as its users know it.

use std::fmt;

/// A kind of items: each has partitions of its own, named after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub(crate) name: &'static str,
    /// Whether a body is part of its head.
    pub(crate) is_small: bool,
}

impl Kind {
    /// The kind with this name, without `#`. Its items may have megabytes.
    pub const fn new(name: &'static str) -> Self {
        Self { name, is_small: false }
    }

    /// A kind of items of some kilobytes: each is one item of DynamoDB, and putting it is one write.
    pub const fn small(name: &'static str) -> Self {
        Self { name, is_small: true }
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
