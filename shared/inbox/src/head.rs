//! The keys and attributes of DynamoDB's items.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::Kind;

pub(crate) type Attributes = HashMap<String, AttributeValue>;

impl Kind {
    /// The partition of the heads.
    pub(crate) fn waiting(self) -> String {
        format!("{}#waiting", self.name)
    }

    /// The partition of the stubs.
    pub(crate) fn done(self) -> String {
        format!("{}#done", self.name)
    }
}

/// The keys of a waiting item: of its head, and of the pieces of its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// None of a small item, whose body is in its head.
    pub(crate) pieces: usize,
}

impl Head {
    pub(crate) fn new(kind: Kind, id: &str, pieces: usize) -> Self {
        Self { kind, id: id.to_owned(), pieces }
    }

    /// Parses attributes; `None` if they are not a head.
    pub(crate) fn read(kind: Kind, head: &Attributes) -> Option<Self> {
        let pieces = if kind.is_small { 0 } else { number(head, "pieces")? };
        Some(Self { kind, id: id(head), pieces })
    }

    /// The head of an item whose body is in pieces.
    pub(crate) fn write(&self) -> Attributes {
        let mut head = self.key();
        head.insert("pieces".to_owned(), integer(&self.pieces));
        head
    }

    /// The head of a small item.
    pub(crate) fn write_with(&self, body: &[u8]) -> Attributes {
        let mut head = self.key();
        head.insert(BODY.to_owned(), bytes(body));
        head
    }

    pub(crate) fn key(&self) -> Attributes {
        key(self.kind.waiting(), &self.id)
    }

    /// The partition of its pieces.
    pub(crate) fn body(&self) -> String {
        format!("{}#{}", self.kind.name, self.id)
    }

    /// The keys of its pieces, in their order.
    pub(crate) fn piece_keys(&self) -> impl Iterator<Item = Attributes> {
        (0..self.pieces).map(|number| key(self.body(), &format!("{number:02}")))
    }
}

/// The attribute of a body, or of a piece of one.
pub(crate) const BODY: &str = "body";

pub(crate) fn bytes(body: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(body))
}

pub(crate) fn key(pk: String, sk: &str) -> Attributes {
    Attributes::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// The body of an item, or a piece of one.
pub(crate) fn body(attributes: &Attributes) -> Option<&Blob> {
    attributes.get(BODY)?.as_b().ok()
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
