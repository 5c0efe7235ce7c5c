//! Counts the pages of a document by its tree of pages (ISO 32000-2, 7.7.3): what the tree says of its size may be wrong.

use std::collections::HashSet;
use std::num::NonZeroU32;

use shared_core::uploads::{PDF_PAGES, UnreadableFile};

use super::objects::Objects;
use super::syntax::Value;

/// A node of the tree.
enum Node {
    Page,
    /// With the numbers of its children.
    Tree(Vec<u32>),
}

/// Counts the pages: 1 to 300.
pub(super) fn count(objects: &mut Objects<'_>) -> Result<NonZeroU32, UnreadableFile> {
    let mut waiting = vec![root(objects)?];
    let mut seen = HashSet::new();
    let mut pages = 0;
    while let Some(number) = waiting.pop() {
        if !seen.insert(number) {
            return Err(UnreadableFile::Damaged);
        }
        match node(objects, number)? {
            Node::Page => pages += 1,
            Node::Tree(children) => waiting.extend(children),
        }
        if pages > PDF_PAGES {
            return Err(UnreadableFile::TooManyPages);
        }
    }
    NonZeroU32::new(pages).ok_or(UnreadableFile::Damaged)
}

/// The number of the root of the tree.
fn root(objects: &mut Objects<'_>) -> Result<u32, UnreadableFile> {
    let catalogue = objects.root().ok_or(UnreadableFile::Damaged)?;
    let catalogue = objects.get(catalogue)?.and_then(Value::dict);
    match catalogue.and_then(|catalogue| catalogue.get(b"Pages")) {
        Some(Value::Reference(root)) => Ok(root),
        _ => Err(UnreadableFile::Damaged),
    }
}

fn node(objects: &mut Objects<'_>, number: u32) -> Result<Node, UnreadableFile> {
    let value = objects.get(number)?.and_then(Value::dict).ok_or(UnreadableFile::Damaged)?;
    match value.get(b"Kids") {
        None if value.get(b"Type").is_some_and(|kind| kind.is_name(b"Pages")) => {
            Err(UnreadableFile::Damaged)
        }
        None => Ok(Node::Page),
        Some(Value::Reference(kids)) => children(objects.get(kids)?),
        kids => children(kids),
    }
}

fn children(kids: Option<Value<'_>>) -> Result<Node, UnreadableFile> {
    let Some(Value::Array(kids)) = kids else { return Err(UnreadableFile::Damaged) };
    let number = |kid: Value<'_>| kid.reference().ok_or(UnreadableFile::Damaged);
    kids.iter().map(number).collect::<Result<_, _>>().map(Node::Tree)
}
