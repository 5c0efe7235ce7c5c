//! Predictions: what `predict_turn` says of a turn is what `begin_turn` makes of it, or nothing.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use futures_util::future::join_all;
use shared_core::chat::{NewTurn, Outcome, Placement, Question};
use shared_core::idempotency_key::IdempotencyKey;
use shared_core::identity::Session;
use shared_core::keys::{KeyPolicy, MonthlyCap};
use shared_core::models::{ModelPricing, Tier};
use shared_core::uploads::UploadId;
use shared_postgres::{BeginTurnError, BegunTurn, TurnEnd};
use testkit::{ReadyFile, TestStack, answer_of, message_id, new_turn, next_turn};
use tokio::sync::oneshot;

const KEY: &str = "sk-or-v1-ada-0123456789abcdef";
const CAP: MonthlyCap = MonthlyCap::from_nano_usd(1_000_000_000);

/// At noon, so that no test meets a midnight.
async fn stack() -> (TestStack, Session) {
    let stack = TestStack::start().await;
    stack.clock.set("2026-03-14T12:00:00Z".parse().unwrap());
    let ada = stack.session("ada@example.com").await;
    (stack, ada)
}

/// Begins a turn a second later; returns its prediction beside it.
async fn begin(
    stack: &TestStack,
    session: &Session,
    turn: &NewTurn,
) -> (Option<BegunTurn>, Result<BegunTurn, BeginTurnError>) {
    stack.clock.advance(Duration::from_secs(1));
    let (database, plans) = (stack.database(), stack.plans());
    let (predict, predicted) = oneshot::channel();
    let request = database.request(session, stack.clock.now());
    let begun = request.begin_turn(turn, &plans, Some(predict)).await;
    (predicted.await.ok(), begun)
}

/// Begins a turn that is predicted, and finishes it.
async fn turn(stack: &TestStack, session: &Session, turn: &NewTurn) {
    let (predicted, begun) = begin(stack, session, turn).await;
    let (predicted, begun) = (predicted.unwrap(), begun.unwrap());
    assert!(predicted.has_same_input(&begun), "{predicted:?} {begun:?}");
    assert_eq!(predicted.payer, begun.payer);
    stack.clock.advance(Duration::from_secs(1));
    let answer = answer_of(&format!("reply to {}", begun.question.as_str()));
    let end = TurnEnd { answer: &answer, outcome: &Outcome::Complete, at: stack.clock.now() };
    stack.database().finish_turn(&begun, end).await.unwrap();
}

fn premium(turn: NewTurn) -> NewTurn {
    NewTurn { pricing: ModelPricing { tier: Tier::Premium, credits: 3 }, ..turn }
}

fn with_files(turn: NewTurn, files: &[UploadId]) -> NewTurn {
    NewTurn { files: files.to_vec(), ..turn }
}

fn regenerate(question: &str, answer: &str) -> NewTurn {
    new_turn("the-chat", Placement::Regenerate { question: message_id(question) }, answer)
}

fn edit(question: &str, answer: &str) -> NewTurn {
    let displaced_id = message_id(&format!("before-{answer}"));
    let place = Placement::Edit { question: message_id(question), displaced_id };
    new_turn("the-chat", place, answer)
}

async fn execute(stack: &TestStack, sql: &str) {
    stack.owner().await.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_prediction_has_the_input_and_the_payer_of_the_turn_that_begins() {
    let (stack, ada) = stack().await;
    for number in 1..=3 {
        turn(&stack, &ada, &next_turn("the-chat", number)).await;
    }
    let summary = "insert into summaries (id, user_id, chat_id, through_id, content, created_at)
                   select gen_random_uuid(), user_id, id, 'question-1', 'the summary', now() from chats";
    execute(&stack, summary).await;
    turn(&stack, &ada, &regenerate("question-2", "answer-2b")).await;
    turn(&stack, &ada, &edit("question-3", "answer-3b")).await;
    // The day's credits are spent.
    stack.premium(&ada).await;
    turn(&stack, &ada, &premium(next_turn("the-chat", 4))).await;
    turn(&stack, &ada, &next_turn("another-chat", 5)).await;
    stack.byok(&ada, KEY, KeyPolicy::Fallback, None).await;
    turn(&stack, &ada, &next_turn("the-chat", 6)).await;
    execute(&stack, "update entitlements set ends_at = starts_at + interval '1 second'").await;
    turn(&stack, &ada, &next_turn("the-chat", 7)).await;
    stack.clock.advance(Duration::from_hours(24));
    turn(&stack, &ada, &next_turn("the-chat", 8)).await;
    stack.byok(&ada, KEY, KeyPolicy::Always, Some(CAP)).await;
    turn(&stack, &ada, &next_turn("the-chat", 9)).await;
    stack.until_count(2, "select count(*) from turns where paid_by = 'byok'").await;
    stack.until_count(3, "select count(*) from turns where plan = 'premium'").await;
}

#[tokio::test]
async fn a_turn_that_is_refused_is_not_predicted() {
    let by_key = |turn| NewTurn { idempotency_key: IdempotencyKey::parse("one").ok(), ..turn };
    let next = || next_turn("the-chat", 2);
    let long = Question::parse(["x".repeat(40_000).as_str()], 50_000).unwrap();
    let nothing = "select";
    for (name, sql, turn) in [
        ("no session", "update sessions set revoked_at = now()", next()),
        ("stored question", nothing, next_turn("the-chat", 1)),
        ("in another chat", nothing, next_turn("another-chat", 1)),
        ("known key", nothing, by_key(next())),
        ("unknown question", nothing, regenerate("question-9", "answer-02")),
        ("of an answer", nothing, edit("answer-01", "answer-02")),
        ("running", "update messages set status = 'streaming' where role = 'assistant'", next()),
        ("no credits", "update allowances set balance = 0", next()),
        ("not in the plan", nothing, premium(next())),
        ("full chat", "update chats set turns = 100", next()),
        ("too long", nothing, NewTurn { question: long, ..next() }),
    ] {
        let (stack, ada) = stack().await;
        self::turn(&stack, &ada, &by_key(next_turn("the-chat", 1))).await;
        execute(&stack, sql).await;
        let (predicted, begun) = begin(&stack, &ada, &turn).await;
        assert!(begun.is_err(), "{name}: {begun:?}");
        assert!(predicted.is_none(), "{name}: {predicted:?}");
    }
}

#[tokio::test]
async fn a_key_that_does_not_pay_predicts_nothing() {
    for sql in [
        "update provider_keys set refused_at = now()",
        "insert into byok_spending select id, '2026-03-01', 1000000000 from users",
    ] {
        let (stack, ada) = stack().await;
        stack.byok(&ada, KEY, KeyPolicy::Always, Some(CAP)).await;
        execute(&stack, sql).await;
        let (predicted, begun) = begin(&stack, &ada, &next_turn("the-chat", 1)).await;
        assert!(matches!(begun, Err(BeginTurnError::PaymentDenied(_))), "{begun:?}");
        assert!(predicted.is_none(), "{sql}: {predicted:?}");
    }
}

#[tokio::test]
async fn of_concurrent_duplicates_one_is_predicted() {
    let (stack, ada) = stack().await;
    for (round, chat) in ["new-chat", "the-chat", "the-chat"].into_iter().enumerate() {
        let place = Placement::Append { question: message_id(&format!("question-{round}")) };
        let turns: Vec<_> =
            (0..8).map(|n| new_turn(chat, place.clone(), &format!("answer-{round}{n}"))).collect();
        assert_eq!(at_once(&stack, &ada, &turns).await, (1, 1));
        let end = "update messages set status = 'complete' where status = 'streaming'";
        execute(&stack, end).await;
    }
}

#[tokio::test]
async fn of_concurrent_turns_those_are_predicted_that_the_balance_pays_for() {
    let (stack, ada) = stack().await;
    let turns: Vec<_> = (0..12).map(|n| next_turn(&format!("chat-{n:04}"), n)).collect();
    assert_eq!(at_once(&stack, &ada, &turns).await, (5, 5));
}

/// How many of these concurrent turns are predicted, and how many begin.
async fn at_once(stack: &TestStack, session: &Session, turns: &[NewTurn]) -> (usize, usize) {
    let turns = join_all(turns.iter().map(|turn| begin(stack, session, turn))).await;
    let predicted = turns.iter().filter(|(predicted, _)| predicted.is_some()).count();
    (predicted, turns.iter().filter(|(_, begun)| begun.is_ok()).count())
}

#[tokio::test]
async fn while_postgres_cannot_write_one_turn_is_predicted() {
    let (stack, ada) = stack().await;
    let database = stack.database();
    let mut number = 0;
    let mut begin = async || {
        number += 1;
        let (predict, predicted) = oneshot::channel();
        let (request, plans) = (database.request(&ada, stack.clock.now()), stack.plans());
        let turn = next_turn(&format!("chat-{number:04}"), number);
        let begun = request.begin_turn(&turn, &plans, Some(predict)).await;
        (predicted.await.is_ok(), begun.is_ok())
    };
    execute(&stack, "revoke insert on messages from app_user").await;
    assert_eq!(begin().await, (true, false));
    assert_eq!(begin().await, (false, false));
    execute(&stack, "grant insert on messages to app_user").await;
    assert_eq!(begin().await, (false, true));
    assert_eq!(begin().await, (true, true));
}

#[tokio::test]
async fn a_turn_with_files_is_predicted_with_them_and_one_that_cannot_have_them_is_not() {
    let (stack, ada) = stack().await;
    let image = ReadyFile::IMAGE;
    let file = stack.ready_upload(&ada, &image).await;
    turn(&stack, &ada, &with_files(next_turn("the-chat", 1), &[file])).await;
    turn(&stack, &ada, &regenerate("question-1", "answer-02")).await;
    let eve = stack.session("eve@example.com").await;
    let foreign = stack.ready_upload(&eve, &image).await;
    for files in [&[foreign][..], &[file, foreign]] {
        let foreign = with_files(next_turn("the-chat", 3), files);
        let (predicted, begun) = begin(&stack, &ada, &foreign).await;
        assert!(predicted.is_none());
        assert!(matches!(begun, Err(BeginTurnError::UploadNotFound)), "{begun:?}");
    }
}
