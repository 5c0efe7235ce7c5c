//! The keys and attributes of DynamoDB's items.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::Kind;

pub(crate) type Attributes = HashMap<String, AttributeValue>;

impl Kind {
    /// The partition of the heads.
    pub(crate) fn waiting(self) -> String {
        format!("{}#waiting", self.0)
    }

    /// The partition of the stubs.
    pub(crate) fn done(self) -> String {
        format!("{}#done", self.0)
    }
}

/// A waiting item without its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) pieces: usize,
    pub(crate) attempts: u32,
}

impl Head {
    pub(crate) fn new(kind: Kind, id: &str, pieces: usize) -> Self {
        Self { kind, id: id.to_owned(), pieces, attempts: 0 }
    }

    /// Parses attributes; `None` if they are not a head.
    pub(crate) fn read(kind: Kind, head: &Attributes) -> Option<Self> {
        let pieces = number(head, "pieces")?;
        Some(Self { kind, id: id(head), pieces, attempts: attempts(head) })
    }

    pub(crate) fn write(&self) -> Attributes {
        let mut head = self.key();
        head.insert("pieces".to_owned(), integer(&self.pieces));
        head
    }

    pub(crate) fn key(&self) -> Attributes {
        key(self.kind.waiting(), &self.id)
    }

    /// The partition of its pieces.
    pub(crate) fn body(&self) -> String {
        format!("{}#{}", self.kind.0, self.id)
    }

    /// The keys of its pieces, in their order.
    pub(crate) fn piece_keys(&self) -> impl Iterator<Item = Attributes> {
        (0..self.pieces).map(|number| key(self.body(), &format!("{number:02}")))
    }
}

pub(crate) fn key(pk: String, sk: &str) -> Attributes {
    Attributes::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// The id of a head or a stub: its sort key, which is always there.
pub(crate) fn id(attributes: &Attributes) -> String {
    attributes.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default()
}

/// How often processing has failed; the attribute is absent before the first failure.
pub(crate) fn attempts(head: &Attributes) -> u32 {
    number(head, "attempts").unwrap_or(0)
}

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn integer(number: &impl Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn number<T: FromStr>(attributes: &Attributes, name: &str) -> Option<T> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}
