//! Which versions each key has: the index of a versioned bucket. The bytes of a version are stored elsewhere, under its
//! id.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::time::SystemTime;

use http::HeaderValue;
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// Length of the part of a version's id that says when it was made.
const NUMBER_DIGITS: usize = 16;

/// All versions of all keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// How many ids have been made.
    made: u64,
    /// Oldest first. No key is without a version.
    keys: BTreeMap<String, Vec<Version>>,
}

/// A version of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) last_modified: Timestamp,
    /// `None` for a delete marker.
    pub(crate) object: Option<Object>,
}

/// What lists say about an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) size: i64,
    /// Without quotation marks.
    pub(crate) e_tag: String,
}

/// Part of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) is_truncated: bool,
}

/// A version in a list.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) version: Version,
    pub(crate) is_latest: bool,
}

/// What a write requires of the current version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Precondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl Versions {
    /// A new id. Random as at AWS, except for its end: a list can go on after a version that has been deleted since.
    pub(crate) fn new_id(&mut self) -> String {
        self.made += 1;
        format!("{:016x}{:016x}", RandomState::new().hash_one(self.made), self.made)
    }

    pub(crate) fn add(&mut self, key: &str, version: Version) {
        self.keys.entry(key.to_owned()).or_default().push(version);
    }

    /// Adds a delete marker, and returns its id.
    pub(crate) fn add_marker(&mut self, key: &str) -> String {
        let id = self.new_id();
        let marker = Version { id: id.clone(), last_modified: now().into(), object: None };
        self.add(key, marker);
        id
    }

    pub(crate) fn remove(&mut self, key: &str, id: &str) -> Option<Version> {
        let versions = self.keys.get_mut(key)?;
        let index = versions.iter().position(|version| version.id == id)?;
        let removed = versions.remove(index);
        if versions.is_empty() {
            self.keys.remove(key);
        }
        Some(removed)
    }

    /// The current object of a key, or the object of one of its versions.
    pub(crate) fn find(&self, key: &str, id: Option<&str>) -> S3Result<(&Version, &Object)> {
        let versions = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let version = match id {
            Some(id) => versions.iter().find(|version| version.id == id),
            None => versions.last(),
        };
        let missing = || match id {
            Some(_) => s3_error!(NoSuchVersion, "The specified version does not exist."),
            None => s3_error!(NoSuchKey, "The specified key does not exist."),
        };
        let version = version.ok_or_else(missing)?;
        match &version.object {
            Some(object) => Ok((version, object)),
            None if id.is_none() => Err(of_marker(missing())),
            None => Err(of_marker(s3_error!(MethodNotAllowed))),
        }
    }

    /// Whether a version of any key has this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.keys.values().flatten().any(|version| version.id == id)
    }

    pub(crate) fn current_keys(&self) -> Vec<String> {
        let current = self.keys.iter().filter(|(key, _)| self.find(key, None).is_ok());
        current.map(|(key, _)| key.clone()).collect()
    }

    /// Up to `max` versions of keys that start with `prefix`: by key, newest first. `after` is the key that the list
    /// goes on after, or one of its versions.
    pub(crate) fn page(
        &self,
        prefix: &str,
        after: Option<(&str, Option<&str>)>,
        max: usize,
    ) -> Page {
        let after_key = after.map_or("", |(key, _)| key).max(prefix);
        let keys = self.keys.range::<str, _>((Bound::Included(after_key), Bound::Unbounded));
        let keys = keys.take_while(|(key, _)| key.starts_with(prefix));
        let is_after = |key: &str, version: &Version| match after {
            Some((after, None)) => key != after,
            Some((after, Some(id))) => key != after || number(&version.id) < number(id),
            None => true,
        };
        let mut entries = keys.flat_map(|(key, versions)| {
            let entry = move |(index, version): (usize, &Version)| {
                let (key, version) = (key.clone(), version.clone());
                Entry { key, version, is_latest: index == 0 }
            };
            versions.iter().rev().enumerate().map(entry)
        });
        let mut entries = entries.by_ref().filter(|entry| is_after(&entry.key, &entry.version));
        let page: Vec<_> = entries.by_ref().take(max).collect();
        Page { entries: page, is_truncated: max > 0 && entries.next().is_some() }
    }
}

impl Precondition {
    /// S3 has no other `If-None-Match` for writes than `*`.
    pub(crate) fn of_write(
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> S3Result<Self> {
        match if_none_match {
            Some(ETagCondition::ETag(_)) => Err(s3_error!(NotImplemented)),
            if_none_match => Ok(Self { if_match, if_none_match }),
        }
    }

    pub(crate) fn check_write(&self, versions: &Versions, key: &str) -> S3Result<()> {
        match (versions.find(key, None), &self.if_match) {
            (Ok(_), _) if self.if_none_match.is_some() => Err(failed()),
            (Ok((_, object)), Some(condition)) if !object.is(condition) => Err(failed()),
            (Err(missing), Some(_)) => Err(missing),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_read(&self, object: &Object) -> S3Result<()> {
        let is = |condition: &Option<ETagCondition>| {
            condition.as_ref().map(|condition| object.is(condition))
        };
        if is(&self.if_match) == Some(false) {
            return Err(failed());
        }
        if is(&self.if_none_match) == Some(true) {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }
}

impl Object {
    fn is(&self, condition: &ETagCondition) -> bool {
        match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(e_tag) => *e_tag == ETag::Strong(self.e_tag.clone()),
        }
    }
}

/// The machine's clock, by which s3s verifies signatures as well.
#[expect(clippy::disallowed_methods, reason = "signatures are verified by this clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

fn number(id: &str) -> &str {
    id.get(id.len().saturating_sub(NUMBER_DIGITS)..).unwrap_or_default()
}

fn failed() -> S3Error {
    let message = "At least one of the pre-conditions you specified did not hold";
    s3_error!(PreconditionFailed, "{message}")
}

fn of_marker(mut error: S3Error) -> S3Error {
    let header = ("x-amz-delete-marker", "true");
    let headers = [header].map(|(name, value)| {
        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    error.set_headers(headers.into_iter().collect());
    error
}
