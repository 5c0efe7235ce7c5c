//! A table for each test, and items to put there.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use local_dynamodb::LocalDynamoDb;
use shared_aws::Aws;
use shared_core::env::Env;
use shared_inbox::{Inbox, InboxConfig, InboxItem, Kind, WaitingPage};

pub(crate) const CONTENT: &str = "My doctor's name is Ada Lovelace.";

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) struct Stack {
    pub(crate) dynamodb: LocalDynamoDb,
    pub(crate) inbox: Inbox,
    pub(crate) client: Client,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::of(LocalDynamoDb::start().await.unwrap())
    }

    pub(crate) fn of(dynamodb: LocalDynamoDb) -> Self {
        let (inbox, aws) = inbox(&dynamodb.variables());
        Self { dynamodb, inbox, client: Client::new(aws.sdk_config()) }
    }

    /// The table's items, read without the inbox.
    pub(crate) async fn items(&self) -> Vec<Item> {
        let scan = self.client.scan().table_name("inbox").into_paginator().items().send();
        scan.collect::<Result<_, _>>().await.unwrap()
    }

    /// The items of one partition.
    pub(crate) async fn partition(&self, pk: &str) -> Vec<Item> {
        self.items().await.into_iter().filter(|item| item["pk"].as_s().unwrap() == pk).collect()
    }

    /// The first page of waiting items.
    pub(crate) async fn page(&self) -> WaitingPage {
        self.inbox.waiting_items(LETTERS, None).await.unwrap()
    }
}

/// The inbox that `variables` name, and its account.
pub(crate) fn inbox(variables: &[(&str, String)]) -> (Inbox, Aws) {
    let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
    let env = Env::new(|name| found(name).map(|(_, value)| value.clone()));
    let aws = Aws::from_env(&env).unwrap();
    (Inbox::new(&InboxConfig::from_env(&env).unwrap(), &aws), aws)
}

/// The kind of items in these tests.
pub(crate) const LETTERS: Kind = Kind::new("letter");

/// The item with this number.
pub(crate) fn letter(number: u16) -> InboxItem {
    letter_with(number, CONTENT)
}

pub(crate) fn letter_with(number: u16, text: &str) -> InboxItem {
    InboxItem { kind: LETTERS, id: format!("letter-{number:05}"), body: text.into() }
}

pub(crate) fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// Deterministic text of 64 letters that compresses by no more than a quarter.
pub(crate) fn noise(bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
    let mut state = 1_u64;
    let letter = |_| {
        // Knuth's MMIX.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..bytes).map(letter).collect()
}

pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}
