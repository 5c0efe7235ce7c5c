//! A table for each test, and turns to put there.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use local_dynamodb::LocalDynamoDb;
use shared_aws::Aws;
use shared_core::answer::{Answer, ModelEvent};
use shared_core::catalogue::ModelId;
use shared_core::env::Env;
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::outcome::{FinishedTurn, Outcome};
use shared_core::turn::{Placement, Question};
use shared_inbox::{Inbox, InboxConfig, Page};
use uuid::Uuid;

pub(crate) const QUESTION: &str = "What is my doctor's name?";
pub(crate) const ANSWER: &str = "Ada Lovelace";

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

    /// The first page of waiting turns.
    pub(crate) async fn page(&self) -> Page {
        self.inbox.waiting_turns(None).await.unwrap()
    }
}

/// The inbox that `variables` name, and its account.
pub(crate) fn inbox(variables: &[(&str, String)]) -> (Inbox, Aws) {
    let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
    let env = Env::new(|name| found(name).map(|(_, value)| value.clone()));
    let aws = Aws::from_env(&env).unwrap();
    (Inbox::new(&InboxConfig::from_env(&env).unwrap(), &aws), aws)
}

/// A turn whose answer is the one with this number.
pub(crate) fn turn(number: u16) -> FinishedTurn {
    turn_with_answer(number, ANSWER)
}

pub(crate) fn turn_with_answer(number: u16, text: &str) -> FinishedTurn {
    let mut answer = Answer::default();
    answer.apply(&ModelEvent::Text(text), &mut |_| ());
    FinishedTurn {
        user: UserId(Uuid::from_u128(1)),
        chat: ChatId::parse("chat-0001").unwrap(),
        placement: Placement::Append { question: MessageId::parse("question-0001").unwrap() },
        question: Question::parse([QUESTION], 1000).unwrap(),
        model: ModelId::parse("fake/echo").unwrap(),
        answer_id: MessageId::parse(&format!("answer-{number:05}")).unwrap(),
        answer,
        outcome: Outcome::Complete,
        began_at: now(),
        ended_at: now(),
    }
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
