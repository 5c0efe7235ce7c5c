//! Turns as items of the inbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use serde_json::Value;
use shared_core::chat::{Answer, FilePart, FinishedTurn, ModelEvent, Outcome, Placement, Question};
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
        files: Vec::new(),
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
fn the_files_of_a_question_survive_the_inbox_and_items_without_them_are_as_before() {
    let file = r#"{
        "url": "/api/uploads/0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f", "mediaType": "image/png", "filename": "ship.png",
        "providerMetadata": { "upload": { "width": 8, "height": 6, "modelType": "image/png", "modelBytes": 9, "tokens": 1 } }
    }"#;
    let file: FilePart = serde_json::from_str(file).unwrap();
    let with_file = FinishedTurn {
        question: Question::default(),
        files: vec![file],
        ..turn(Outcome::Complete)
    };
    assert_eq!(finished_turn(&inbox_item(&with_file).unwrap()), Ok(with_file));

    let item = inbox_item(&turn(Outcome::Complete)).unwrap();
    let body: Value = serde_json::from_slice(&item.body).unwrap();
    assert_eq!((&body["question"], body.get("files")), (&"What is my doctor's name?".into(), None));
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
