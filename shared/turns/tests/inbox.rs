//! Turns as items of the inbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use shared_core::chat::{Answer, FinishedTurn, ModelEvent, Outcome, Placement, Question};
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::models::ModelId;
use shared_turns::{NotATurn, TURNS, finished_turn, inbox_item};
use uuid::Uuid;

fn turn(outcome: Outcome) -> FinishedTurn {
    let mut answer = Answer::default();
    answer.apply(&ModelEvent::Text("Ada Lovelace"), &mut |_| ());
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    FinishedTurn {
        user: UserId(Uuid::from_u128(1)),
        chat: ChatId::parse("chat-0001").unwrap(),
        placement: Placement::Append { question: MessageId::parse("question-0001").unwrap() },
        question: Question::parse(["What is my doctor's name?"], 1000).unwrap(),
        model: ModelId::parse("fake/echo").unwrap(),
        answer_id: MessageId::parse("answer-00001").unwrap(),
        answer,
        outcome,
        began_at: at,
        ended_at: at,
    }
}

#[test]
fn a_turn_survives_the_inbox_unchanged() {
    let refused = Outcome::Failed { code: "model_failed".into(), refused_key: true };
    for outcome in [Outcome::Complete, Outcome::Stopped, Outcome::Interrupted, refused] {
        let turn = turn(outcome);
        let item = inbox_item(&turn).unwrap();
        assert_eq!(item.kind, TURNS);
        assert_eq!(finished_turn(&item), Ok(turn));
    }
}

#[test]
fn an_interrupted_turn_and_its_true_end_both_wait() {
    let [interrupted, complete] = [Outcome::Interrupted, Outcome::Complete]
        .map(|outcome| inbox_item(&turn(outcome)).unwrap());
    assert_eq!(complete.id, "answer-00001#00000000-0000-0000-0000-000000000001#complete");
    assert_ne!(interrupted.id, complete.id);
}

#[test]
fn a_body_of_another_version_is_not_a_turn_and_is_not_repeated_in_the_error() {
    let mut item = inbox_item(&turn(Outcome::Complete)).unwrap();
    item.body = br#"{"user":"Ada Lovelace, of another version"}"#.to_vec();
    assert_eq!(finished_turn(&item), Err(NotATurn));
    assert!(!NotATurn.to_string().contains("Ada"));
}
