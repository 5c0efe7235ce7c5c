//! A failed turn with an empty answer frees its idempotency key, and comes after any other answer to its question.

use shared_core::chat::{Answer, NewTurn, Outcome, Placement};
use shared_core::identity::Session;
use shared_postgres::BeginTurnError;
use testkit::{TestStack, answer_of, message_id, new_turn, next_turn};

use crate::setup::{begin, count, cut_off, finish, overview, stack, with_idempotency_key};

/// Begins a turn that fails with an empty answer.
async fn fail(stack: &TestStack, session: &Session, turn: &NewTurn) {
    let begun = begin(stack, session, turn).await.unwrap();
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    finish(stack, &begun, &Answer::default(), &failed).await.unwrap();
}

async fn complete(stack: &TestStack, session: &Session, turn: &NewTurn) {
    let begun = begin(stack, session, turn).await.unwrap();
    finish(stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
}

/// The answer that `turn` is a duplicate of, and whether it was found by its idempotency key.
async fn original(stack: &TestStack, session: &Session, turn: &NewTurn) -> (String, bool) {
    let begun = begin(stack, session, turn).await;
    assert!(matches!(begun, Err(BeginTurnError::Duplicate)), "{begun:?}");
    let (database, now) = (stack.database(), stack.clock.now());
    let duplicate = database.request(session, now).duplicate_of(turn).await.unwrap().unwrap();
    assert!(duplicate.is_same, "{duplicate:?}");
    (duplicate.turn.answer.to_string(), duplicate.is_by_key)
}

/// Regenerates the answer to the first question.
fn regenerate(answer: &str) -> NewTurn {
    new_turn("the-chat", Placement::Regenerate { question: message_id("question-1") }, answer)
}

#[tokio::test]
async fn a_failed_turn_with_an_empty_answer_leaves_its_idempotency_key_to_the_retry() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let turn = with_idempotency_key(next_turn("the-chat", 1), "the key");
    fail(&stack, &ada, &turn).await;

    // Its question is stored, so the retry regenerates the answer under the same key.
    assert_eq!(original(&stack, &ada, &turn).await, ("answer-01".into(), false));
    complete(&stack, &ada, &with_idempotency_key(regenerate("answer-1b"), "the key")).await;
    assert_eq!(original(&stack, &ada, &turn).await, ("answer-1b".into(), true));
    // Also for a client that generates another question id for each attempt.
    let place = Placement::Append { question: message_id("another-id") };
    let other_id = NewTurn { placement: place, answer: message_id("answer-1c"), ..turn.clone() };
    assert_eq!(original(&stack, &ada, &other_id).await, ("answer-1b".into(), true));
    assert_eq!(count(&stack, "select count(*) from turns where idempotency_key is null").await, 1);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_retry_that_is_denied_payment_does_not_take_the_idempotency_key() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    fail(&stack, &ada, &with_idempotency_key(next_turn("the-chat", 1), "the key")).await;
    stack.owner().await.execute("update allowances set balance = 0", &[]).await.unwrap();
    let refused =
        begin(&stack, &ada, &with_idempotency_key(regenerate("answer-1b"), "the key")).await;
    assert!(matches!(refused, Err(BeginTurnError::PaymentDenied(_))), "{refused:?}");
    assert_eq!(count(&stack, "select count(*) from turns where idempotency_key is null").await, 0);
}

#[tokio::test]
async fn a_turn_that_was_stopped_without_text_or_failed_with_text_keeps_its_idempotency_key() {
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    for (answer, outcome) in
        [(Answer::default(), Outcome::Stopped), (cut_off("hel"), failed.clone())]
    {
        let stack = stack().await;
        let ada = stack.session("ada@example.com").await;
        let turn = with_idempotency_key(next_turn("the-chat", 1), "the key");
        let begun = begin(&stack, &ada, &turn).await.unwrap();
        finish(&stack, &begun, &answer, &outcome).await.unwrap();
        for again in [turn, with_idempotency_key(regenerate("answer-1b"), "the key")] {
            assert_eq!(original(&stack, &ada, &again).await, ("answer-01".into(), true));
        }
    }
    // A settled one keeps it, too: it had text when it was closed as orphaned, before its true end was stored.
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let turn = with_idempotency_key(next_turn("the-chat", 1), "the key");
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    let (database, now) = (stack.database(), stack.clock.now());
    database.interrupt_turn(begun.user, &begun.answer, &cut_off("hel"), now).await.unwrap();
    finish(&stack, &begun, &Answer::default(), &failed).await.unwrap();
    assert_eq!(overview(&stack, "answer-01").await, "failed settled");
    assert_eq!(original(&stack, &ada, &turn).await, ("answer-01".into(), true));
}

#[tokio::test]
async fn a_failed_turn_with_an_empty_answer_does_not_hide_another_answer_to_its_question() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let question = next_turn("the-chat", 1);
    complete(&stack, &ada, &question).await;
    fail(&stack, &ada, &regenerate("answer-1b")).await;
    assert_eq!(original(&stack, &ada, &question).await, ("answer-01".into(), false));
    // Of two answers with text, the newest.
    complete(&stack, &ada, &regenerate("answer-1c")).await;
    assert_eq!(original(&stack, &ada, &question).await, ("answer-1c".into(), false));
}
