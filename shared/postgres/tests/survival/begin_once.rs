//! A chat has one turn at a time, and a turn begins once.

use std::time::Duration;

use futures_util::future::join_all;
use shared_core::chat::{Answer, NewTurn, ORPHANED_AFTER, Outcome, Placement};
use shared_postgres::{BeginTurnError, Database};
use testkit::{TestStack, answer_of, message_id, new_turn, next_turn};

use crate::setup::{begin, count, finish, stack, with_idempotency_key};

/// Begins turns concurrently; returns how many began, were refused because another is running, and were duplicates.
async fn at_once(stack: &TestStack, turns: &[NewTurn]) -> (usize, usize, usize) {
    let ada = stack.session("ada@example.com").await;
    let functions: Vec<Database> = turns.iter().map(|_| stack.database()).collect();
    let (plans, now) = (stack.plans(), stack.clock.now());
    let begun = turns.iter().zip(&functions).map(async |(turn, database)| {
        database.request(&ada, now).begin_turn(turn, &plans, None).await.map(drop)
    });
    let mut counts = (0, 0, 0);
    for begun in join_all(begun).await {
        match begun {
            Ok(()) => counts.0 += 1,
            Err(BeginTurnError::Running(_)) => counts.1 += 1,
            Err(BeginTurnError::Duplicate) => counts.2 += 1,
            Err(other) => unreachable!("{other}"),
        }
    }
    counts
}

#[tokio::test]
async fn of_ten_concurrent_turns_in_one_chat_one_begins() {
    let stack = stack().await;
    for round in 0..5 {
        let chat = format!("chat-{round:04}");
        let turns: Vec<_> = (0..10).map(|turn| next_turn(&chat, round * 10 + turn)).collect();
        assert_eq!(at_once(&stack, &turns).await, (1, 9, 0), "different questions");
    }
    assert_eq!(count(&stack, "select count(*) from turns").await, 5);
    assert_eq!(count(&stack, "select count(*) from messages").await, 10);
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 0);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn ten_concurrent_duplicates_begin_one_turn() {
    let stack = stack().await;
    let sent = |place: &Placement| -> Vec<_> {
        (0..10).map(|n| new_turn("the-chat", place.clone(), &format!("answer-{n:02}"))).collect()
    };
    let turns = sent(&Placement::Append { question: message_id("question-1") });
    assert_eq!(at_once(&stack, &turns).await, (1, 0, 9));
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 4);
    assert_eq!(count(&stack, "select count(*) from messages").await, 2);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn an_idempotency_key_begins_one_turn_in_any_chat_and_is_reusable_if_that_is_withdrawn() {
    let stack = stack().await;
    let turns: Vec<_> = (0..4)
        .map(|n| with_idempotency_key(next_turn(&format!("chat-{n:04}"), n), "one"))
        .collect();
    assert_eq!(at_once(&stack, &turns).await, (1, 0, 3));
    assert_eq!(count(&stack, "select count(*) from chats").await, 1);
    stack.assert_books_are_right().await;

    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let again = begin(&stack, &ada, &with_idempotency_key(next_turn("chat-0009", 9), "one")).await;
    assert!(matches!(again, Err(BeginTurnError::Duplicate)), "{again:?}");
    begin(&stack, &ada, &with_idempotency_key(next_turn("chat-0010", 10), "two")).await.unwrap();
    begin(&stack, &eve, &with_idempotency_key(next_turn("chat-0011", 11), "one")).await.unwrap();

    let third = with_idempotency_key(next_turn("chat-0012", 12), "three");
    let begun = begin(&stack, &ada, &third).await.unwrap();
    stack.database().withdraw_turn(&begun, "unavailable", stack.clock.now()).await.unwrap();
    let retried = NewTurn { answer: message_id("answer-12b"), ..third };
    begin(&stack, &ada, &retried).await.unwrap();
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_duplicate_of_the_turn_that_reserved_the_last_credit_is_not_denied_payment() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    for number in 1..=5 {
        let turn = with_idempotency_key(next_turn("the-chat", number), &format!("key {number}"));
        let begun = begin(&stack, &ada, &turn).await.unwrap();
        finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    }
    let sixth = begin(&stack, &ada, &next_turn("the-chat", 6)).await;
    assert!(matches!(sixth, Err(BeginTurnError::PaymentDenied(_))), "{sixth:?}");
    let by_question = NewTurn { answer: message_id("answer-5b"), ..next_turn("the-chat", 5) };
    let by_key = with_idempotency_key(next_turn("other-chat", 7), "key 5");
    for duplicate in [by_question, by_key] {
        let duplicate = begin(&stack, &ada, &duplicate).await;
        assert!(matches!(duplicate, Err(BeginTurnError::Duplicate)), "{duplicate:?}");
    }
}

#[tokio::test]
async fn no_turn_begins_beside_a_running_one_until_that_counts_as_orphaned() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let first = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    let question = || message_id("question-1");
    for place in [
        Placement::Append { question: message_id("question-2") },
        Placement::Edit { question: question(), displaced_id: message_id("stepped-aside") },
        Placement::Regenerate { question: question() },
    ] {
        let beside = begin(&stack, &ada, &new_turn("the-chat", place, "answer-02")).await;
        let Err(BeginTurnError::Running(answer)) = beside else { unreachable!("{beside:?}") };
        assert_eq!(answer.as_str(), "answer-01");
    }
    stack.clock.set(first.began_at + ORPHANED_AFTER - Duration::from_secs(2));
    let almost = begin(&stack, &ada, &next_turn("the-chat", 2)).await;
    assert!(matches!(almost, Err(BeginTurnError::Running(_))), "{almost:?}");
    let begun = begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    finish(&stack, &begun, &Answer::default(), &Outcome::Stopped).await.unwrap();
    begin(&stack, &ada, &next_turn("the-chat", 3)).await.unwrap();
}

#[tokio::test]
async fn a_question_is_a_duplicate_only_in_its_own_chat() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let begun = begin(&stack, &ada, &next_turn("adas-chat", 1)).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    let again = |chat: &str| NewTurn { answer: message_id("answer-1b"), ..next_turn(chat, 1) };
    let elsewhere = begin(&stack, &ada, &again("adas-other-chat")).await;
    assert!(matches!(elsewhere, Err(BeginTurnError::MessageExists)), "{elsewhere:?}");
    // Ids are unique per user: Eve's chat of the same id is a new one, without Ada's messages.
    let eves = begin(&stack, &eve, &again("adas-chat")).await.unwrap();
    assert_eq!(eves.context.messages, []);
    // The id of an answer is not that of a question.
    let place = Placement::Append { question: message_id("answer-01") };
    let odd = begin(&stack, &ada, &new_turn("adas-chat", place, "answer-1c")).await;
    assert!(matches!(odd, Err(BeginTurnError::MessageExists)), "{odd:?}");
}
