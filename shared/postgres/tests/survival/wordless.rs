//! A turn that failed without a word is as good as none.

use shared_core::answer::Answer;
use shared_core::outcome::Outcome;
use shared_core::session::Session;
use shared_core::turn::{NewTurn, Placement};
use shared_postgres::DatabaseError;
use testkit::{TestStack, answer_of, message_id, new_turn, next_turn};

use crate::setup::{begin, count, cut_off, finish, overview, stack, with_key};

/// Begins a turn that fails before its model has said anything.
async fn fail(stack: &TestStack, session: &Session, turn: &NewTurn) {
    let begun = begin(stack, session, turn).await.unwrap();
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    finish(stack, &begun, &Answer::default(), &failed).await.unwrap();
}

async fn complete(stack: &TestStack, session: &Session, turn: &NewTurn) {
    let begun = begin(stack, session, turn).await.unwrap();
    finish(stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
}

/// The turn that `turn` repeats, and whether its key says so.
async fn repeated(stack: &TestStack, session: &Session, turn: &NewTurn) -> (String, bool) {
    let begun = begin(stack, session, turn).await;
    assert!(matches!(begun, Err(DatabaseError::DuplicateTurn)), "{begun:?}");
    let (database, now) = (stack.database(), stack.clock.now());
    let known = database.request(session, now).duplicate_of(turn).await.unwrap().unwrap();
    assert!(known.is_same, "{known:?}");
    (known.turn.answer.to_string(), known.is_by_key)
}

/// Another answer to the first question.
fn once_more(answer: &str) -> NewTurn {
    new_turn("the-chat", Placement::Regenerate { question: message_id("question-1") }, answer)
}

#[tokio::test]
async fn it_leaves_its_key_to_the_next_attempt() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let turn = with_key(next_turn("the-chat", 1), "the key");
    fail(&stack, &ada, &turn).await;

    // Its question is stored, so that it is answered once more under the same key.
    assert_eq!(repeated(&stack, &ada, &turn).await, ("answer-01".into(), false));
    complete(&stack, &ada, &with_key(once_more("answer-1b"), "the key")).await;
    assert_eq!(repeated(&stack, &ada, &turn).await, ("answer-1b".into(), true));
    // Also by a client that calls its question something else each time.
    let place = Placement::Append { question: message_id("drawn-anew") };
    let renamed = NewTurn { placement: place, answer: message_id("answer-1c"), ..turn.clone() };
    assert_eq!(repeated(&stack, &ada, &renamed).await, ("answer-1b".into(), true));
    assert_eq!(count(&stack, "select count(*) from turns where idempotency_key is null").await, 1);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn what_is_refused_takes_no_key_away() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    fail(&stack, &ada, &with_key(next_turn("the-chat", 1), "the key")).await;
    stack.owner().await.execute("update allowances set balance = 0", &[]).await.unwrap();
    let refused = begin(&stack, &ada, &with_key(once_more("answer-1b"), "the key")).await;
    assert!(matches!(refused, Err(DatabaseError::PaymentDenied(_))), "{refused:?}");
    assert_eq!(count(&stack, "select count(*) from turns where idempotency_key is null").await, 0);
}

#[tokio::test]
async fn one_that_was_stopped_before_the_first_word_or_failed_after_it_keeps_its_key() {
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    for (answer, outcome) in
        [(Answer::default(), Outcome::Stopped), (cut_off("hel"), failed.clone())]
    {
        let stack = stack().await;
        let ada = stack.session("ada@example.com").await;
        let turn = with_key(next_turn("the-chat", 1), "the key");
        let begun = begin(&stack, &ada, &turn).await.unwrap();
        finish(&stack, &begun, &answer, &outcome).await.unwrap();
        for again in [turn, with_key(once_more("answer-1b"), "the key")] {
            assert_eq!(repeated(&stack, &ada, &again).await, ("answer-01".into(), true));
        }
    }
    // One that is paid for keeps it, too: it had said something before its end was known.
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let turn = with_key(next_turn("the-chat", 1), "the key");
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    let (database, now) = (stack.database(), stack.clock.now());
    database.interrupt_turn(begun.user, &begun.answer, &cut_off("hel"), now).await.unwrap();
    finish(&stack, &begun, &Answer::default(), &failed).await.unwrap();
    assert_eq!(overview(&stack, "answer-01").await, "failed settled");
    assert_eq!(repeated(&stack, &ada, &turn).await, ("answer-01".into(), true));
}

#[tokio::test]
async fn it_does_not_hide_an_answer_to_its_question() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let question = next_turn("the-chat", 1);
    complete(&stack, &ada, &question).await;
    fail(&stack, &ada, &once_more("answer-1b")).await;
    assert_eq!(repeated(&stack, &ada, &question).await, ("answer-01".into(), false));
    // Of two that say something, the newest.
    complete(&stack, &ada, &once_more("answer-1c")).await;
    assert_eq!(repeated(&stack, &ada, &question).await, ("answer-1c".into(), false));
}
