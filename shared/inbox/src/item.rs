//! The items' keys and attributes.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use shared_core::outcome::FinishedTurn;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The partition of the heads.
pub(crate) const WAITING: &str = "turn#waiting";
/// The partition of the stubs.
pub(crate) const DONE: &str = "turn#done";

/// A waiting turn without its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) pieces: usize,
    pub(crate) attempts: u32,
}

impl Head {
    pub(crate) fn new(turn: &FinishedTurn, pieces: usize) -> Self {
        let id = format!("{}#{}#{}", turn.answer_id, turn.user, turn.outcome.as_str());
        Self { id, pieces, attempts: 0 }
    }

    /// Parses an item; `None` if it is not a head.
    pub(crate) fn read(item: &Item) -> Option<Self> {
        Some(Self { id: id(item), pieces: number(item, "pieces")?, attempts: attempts(item) })
    }

    pub(crate) fn write(&self) -> Item {
        let mut item = self.key();
        item.insert("pieces".to_owned(), integer(&self.pieces));
        item
    }

    pub(crate) fn key(&self) -> Item {
        key(WAITING, &self.id)
    }

    /// The partition of its pieces.
    pub(crate) fn body(&self) -> String {
        format!("turn#{}", self.id)
    }

    /// The keys of its pieces, in their order.
    pub(crate) fn piece_keys(&self) -> impl Iterator<Item = Item> {
        (0..self.pieces).map(|number| key(&self.body(), &format!("{number:02}")))
    }
}

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// The id of a head or a stub: its sort key, which is always there.
pub(crate) fn id(item: &Item) -> String {
    item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default()
}

/// How often storing has failed; the attribute is absent before the first failure.
pub(crate) fn attempts(head: &Item) -> u32 {
    number(head, "attempts").unwrap_or(0)
}

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn integer(number: &impl Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn number<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}
