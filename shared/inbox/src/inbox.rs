//! The inbox: puts, lists and removes items.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::builders::PutBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use shared_aws::{Aws, AwsError};
use shared_core::env::{ConfigError, Env};

use crate::body;
use crate::config::InboxConfig;
use crate::error::InboxError;
use crate::head::{self, Attributes, BODY, Head, integer, text};
use crate::retry::{Contention, condition_failed};
use crate::waiting::{Depth, Position, UnreadableItem, WaitingItem, WaitingPage, WhyUnreadable};
use crate::{InboxItem, Kind};

/// Timeout of an operation, retries included: a turn's client waits while it is put here. Long enough
/// for a retry after a dead connection, which broke while the function instance was frozen.
const ANSWER_WITHIN: Duration = Duration::from_millis(2800);
const ATTEMPT_WITHIN: Duration = Duration::from_millis(1300);
/// Items per page. Their bodies are fetched concurrently, and a page of the largest has to fit into a
/// function's memory.
const PER_PAGE: i32 = 20;
/// Retention of the stubs of items that are done.
const STUBS_LAST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 200;

/// The inbox. Cheap to clone; clones share one client.
#[derive(Clone)]
pub struct Inbox(Arc<Table>);

struct Table {
    name: String,
    aws: Aws,
    client: OnceLock<Client>,
}

impl Inbox {
    /// The inbox of the table in `INBOX_TABLE`.
    pub fn from_env(env: &Env<'_>, aws: &Aws) -> Result<Self, ConfigError> {
        InboxConfig::from_env(env).map(|config| Self::new(&config, aws))
    }

    /// Lazy: the first call creates the client.
    pub fn new(config: &InboxConfig, aws: &Aws) -> Self {
        let table = Table { name: config.table.clone(), aws: aws.clone(), client: OnceLock::new() };
        Self(Arc::new(table))
    }

    /// Stores an item until it is [done](Self::done). Idempotent: a duplicate changes nothing.
    ///
    /// Gives up after 2.8 seconds.
    pub async fn put_item(&self, item: &InboxItem) -> Result<(), InboxError> {
        if item.kind.is_small {
            let head = Head::new(item.kind, &item.id, 0).write_with(fitting(item)?);
            return self.put_once(head).await;
        }
        let pieces = body::pack(&item.body)?;
        let head = Head::new(item.kind, &item.id, pieces.len());
        let new = self.put(head.write()).condition_expression("attribute_not_exists(pk)");
        let mut writes = vec![put(new)?];
        for (mut piece, bytes) in head.piece_keys().zip(pieces) {
            piece.insert(BODY.to_owned(), AttributeValue::B(bytes));
            writes.push(put(self.put(piece))?);
        }
        self.transact(writes).await
    }

    /// Archives a small item that nobody has to process: it is done from the beginning, and keeps its body until its stub
    /// is removed. Idempotent.
    pub async fn archive(
        &self,
        item: &InboxItem,
        why: &str,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let mut stub = stub(item.kind, &item.id, why, now);
        stub.insert(BODY.to_owned(), head::bytes(fitting(item)?));
        self.put_once(stub).await
    }

    /// Returns a page of the waiting items of a kind, from the beginning or from where a page ended.
    pub async fn waiting_items(
        &self,
        kind: Kind,
        after: Option<&Position>,
    ) -> Result<WaitingPage, InboxError> {
        let heads = self
            .client()
            .query()
            .table_name(&self.0.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(kind.waiting()))
            .set_exclusive_start_key(after.map(|Position(id)| head::key(kind.waiting(), id)))
            .limit(PER_PAGE)
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        let next = heads.last_evaluated_key.as_ref().map(|key| Position(head::id(key)));
        let mut page = WaitingPage { next, ..WaitingPage::default() };
        for read in try_join_all(heads.items().iter().map(|head| self.read(kind, head))).await? {
            match read {
                Some(Ok(item)) => page.items.push(item),
                Some(Err(unreadable)) => page.unreadable.push(unreadable),
                None => {}
            }
        }
        Ok(page)
    }

    /// Removes an item, and leaves a stub with how it `ended`: `stored`, or why there was nothing to
    /// store. Idempotent: does nothing if it was removed before.
    pub async fn done(
        &self,
        item: &WaitingItem,
        ended: &str,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        self.replace(item, stub(item.item.kind, &item.item.id, ended, now)).await
    }

    /// Removes a small item as [`done`](Self::done) does, and keeps its body until its stub is removed.
    pub async fn archive_waiting(
        &self,
        item: &WaitingItem,
        why: &str,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let mut stub = stub(item.item.kind, &item.item.id, why, now);
        stub.insert(BODY.to_owned(), head::bytes(fitting(&item.item)?));
        self.replace(item, stub).await
    }

    /// Replaces a waiting item by its stub.
    async fn replace(&self, item: &WaitingItem, stub: Attributes) -> Result<(), InboxError> {
        let head = item.head();
        let waits = "attribute_exists(pk)";
        let mut writes = vec![put(self.put(stub))?, self.delete(head.key(), Some(waits))?];
        for key in head.piece_keys() {
            writes.push(self.delete(key, None)?);
        }
        self.transact(writes).await
    }

    /// Records that an item could not be processed, and why: a few words, none of them the item's. It keeps
    /// waiting; does nothing if a concurrent run has processed it meanwhile.
    pub async fn failed(
        &self,
        item: &WaitingItem,
        why: &str,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let why: String = why.chars().take(LONGEST_REASON).collect();
        let noted = self
            .client()
            .update_item()
            .table_name(&self.0.name)
            .set_key(Some(item.head().key()))
            .condition_expression("attribute_exists(pk)")
            .update_expression("add attempts :one set last_error = :why, failed_at = :now")
            .expression_attribute_values(":one", integer(&1))
            .expression_attribute_values(":why", text(why))
            .expression_attribute_values(":now", text(now.to_string()))
            .send()
            .await;
        let Err(error) = noted else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Some(_) | None => Err(unavailable(&error)),
        }
    }

    /// Counts the waiting items of a kind. Reads all heads, some thousands with each call to DynamoDB.
    pub async fn depth(&self, kind: Kind) -> Result<Depth, InboxError> {
        let mut heads = self
            .client()
            .query()
            .table_name(&self.0.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(kind.waiting()))
            .projection_expression("attempts")
            .into_paginator()
            .items()
            .send();
        let mut depth = Depth::default();
        while let Some(head) = heads.next().await {
            let head = head.map_err(|error| unavailable(&error))?;
            depth.waiting += 1;
            depth.failed += u64::from(head::attempts(&head) > 0);
        }
        Ok(depth)
    }

    /// Reads the item of a head. An unreadable one does not fail the page; `None` if a concurrent run has
    /// removed it since the head was read.
    async fn read(
        &self,
        kind: Kind,
        attributes: &Attributes,
    ) -> Result<Option<Result<WaitingItem, UnreadableItem>>, InboxError> {
        let unreadable = |why| Ok(Some(Err(UnreadableItem { id: head::id(attributes), why })));
        let readable = |head: &Head, body| {
            let item = InboxItem { kind, id: head.id.clone(), body };
            let attempts = head::attempts(attributes);
            Ok(Some(Ok(WaitingItem { item, attempts, pieces: head.pieces })))
        };
        let Some(head) = Head::read(kind, attributes) else {
            return unreadable(WhyUnreadable::NoHead);
        };
        if kind.is_small {
            return match head::body(attributes) {
                Some(body) => readable(&head, body.clone().into_inner()),
                None => unreadable(WhyUnreadable::NoHead),
            };
        }
        let mut pages = self
            .client()
            .query()
            .table_name(&self.0.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(head.body()))
            .into_paginator()
            .items()
            .send();
        let mut pieces = Vec::new();
        while let Some(piece) = pages.next().await {
            pieces.push(piece.map_err(|error| unavailable(&error))?);
        }
        match body::unpack(pieces.iter().filter_map(head::body)) {
            Ok(body) => readable(&head, body),
            Err(WhyUnreadable::Damaged) if !self.waits(&head).await? => Ok(None),
            Err(why) => unreadable(why),
        }
    }

    /// Whether a head still exists. A query, because the sweep's IAM role allows no other read.
    async fn waits(&self, head: &Head) -> Result<bool, InboxError> {
        let heads = self
            .client()
            .query()
            .table_name(&self.0.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk and sk = :sk")
            .expression_attribute_values(":pk", text(head.kind.waiting()))
            .expression_attribute_values(":sk", text(&head.id))
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(heads.count() > 0)
    }

    /// Writes one item. Idempotent: does nothing if there is one with its key.
    async fn put_once(&self, item: Attributes) -> Result<(), InboxError> {
        let written = self
            .client()
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        let Err(error) = written else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Some(_) | None => Err(unavailable(&error)),
        }
    }

    /// Writes all or nothing. Idempotent: a condition that fails means that it was done before.
    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), InboxError> {
        let written =
            self.client().transact_write_items().set_transact_items(Some(writes)).send().await;
        match written {
            Ok(_) => Ok(()),
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn put(&self, item: Attributes) -> PutBuilder {
        Put::builder().table_name(&self.0.name).set_item(Some(item))
    }

    fn delete(
        &self,
        key: Attributes,
        condition: Option<&str>,
    ) -> Result<TransactWriteItem, InboxError> {
        let delete = Delete::builder()
            .table_name(&self.0.name)
            .set_key(Some(key))
            .set_condition_expression(condition.map(str::to_owned))
            .build()
            .map_err(|_| InboxError::Unwritable)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn client(&self) -> &Client {
        self.0.client.get_or_init(|| {
            let sdk = self.0.aws.sdk_config();
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(ATTEMPT_WITHIN)
                .operation_attempt_timeout(ATTEMPT_WITHIN)
                .operation_timeout(ANSWER_WITHIN)
                .build();
            let config = aws_sdk_dynamodb::config::Builder::from(sdk)
                .timeout_config(timeouts)
                .retry_classifier(Contention)
                .build();
            Client::from_conf(config)
        })
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("table", &self.0.name).finish_non_exhaustive()
    }
}

/// What is left of an item that is done.
fn stub(kind: Kind, id: &str, ended: &str, now: Timestamp) -> Attributes {
    let mut stub = head::key(kind.done(), id);
    stub.insert("ended".to_owned(), text(ended));
    stub.insert("done_at".to_owned(), text(now.to_string()));
    stub.insert("ttl".to_owned(), integer(&(now + STUBS_LAST).as_second()));
    stub
}

/// The body of a small item, if it fits into one item of DynamoDB.
fn fitting(item: &InboxItem) -> Result<&[u8], InboxError> {
    let bytes = item.body.len();
    if bytes > body::PIECE { Err(InboxError::TooLarge { bytes }) } else { Ok(&item.body) }
}

fn put(put: PutBuilder) -> Result<TransactWriteItem, InboxError> {
    let put = put.build().map_err(|_| InboxError::Unwritable)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn unavailable<E>(error: &SdkError<E>) -> InboxError
where
    E: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
{
    InboxError::Unavailable(AwsError::new("DynamoDB", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_client_is_created_by_the_first_call_and_shared() {
        let env = Env::new(|name| match name {
            "AWS_ENDPOINT_URL_DYNAMODB" => Some("http://127.0.0.1:1".to_owned()),
            _ => Some("false".to_owned()),
        });
        let config = InboxConfig::from_env(&env).unwrap();
        let inbox = Inbox::new(&config, &Aws::from_env(&env).unwrap());
        let clone = inbox.clone();
        assert!(inbox.0.client.get().is_none());
        clone.depth(Kind::new("turn")).await.unwrap_err();
        assert!(inbox.0.client.get().is_some());
    }
}
