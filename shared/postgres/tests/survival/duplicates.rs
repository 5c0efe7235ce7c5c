//! Duplicates of a turn that has begun, and reading it back.

use shared_core::billing::Charge;
use shared_core::chat::{
    Answer, AnswerStatus, FinishReason, NewTurn, Outcome, Part, Placement, Question,
};
use shared_core::identity::Session;
use shared_core::ids::ChatId;
use shared_core::keys::KeyPolicy;
use shared_postgres::{DuplicateTurn, TurnLookup};
use testkit::{TestStack, answer_of, message_id, new_turn, next_turn};

use crate::setup::{begin, count, finish, stack, with_idempotency_key};

async fn duplicate_of(
    stack: &TestStack,
    session: &Session,
    turn: &NewTurn,
) -> Option<DuplicateTurn> {
    stack.database().request(session, stack.clock.now()).duplicate_of(turn).await.unwrap()
}

/// The answer, its status, and whether the same was asked.
fn summary(duplicate: Option<&DuplicateTurn>) -> Option<(&str, AnswerStatus, bool)> {
    duplicate
        .map(|duplicate| (duplicate.turn.answer.as_str(), duplicate.turn.status, duplicate.is_same))
}

fn with_question(text: &str, turn: NewTurn) -> NewTurn {
    NewTurn { question: Question::parse([text], 100).unwrap(), ..turn }
}

#[tokio::test]
async fn a_duplicate_of_a_question_is_found_with_its_newest_answer() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let turn = next_turn("the-chat", 1);
    assert_eq!(duplicate_of(&stack, &ada, &turn).await, None);
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    let first = duplicate_of(&stack, &ada, &turn).await;
    assert_eq!(summary(first.as_ref()), Some(("answer-01", AnswerStatus::Streaming, true)));
    assert_eq!(first.unwrap().turn.began_at, begun.began_at);
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Stopped).await.unwrap();
    assert_eq!(
        summary(duplicate_of(&stack, &ada, &turn).await.as_ref()),
        Some(("answer-01", AnswerStatus::Stopped, true))
    );

    let again = new_turn(
        "the-chat",
        Placement::Regenerate { question: message_id("question-1") },
        "answer-1b",
    );
    begin(&stack, &ada, &again).await.unwrap();
    assert_eq!(
        summary(duplicate_of(&stack, &ada, &turn).await.as_ref()),
        Some(("answer-1b", AnswerStatus::Streaming, true))
    );
    let other_text = with_question("something else", turn.clone());
    let other = duplicate_of(&stack, &ada, &other_text).await;
    assert_eq!(summary(other.as_ref()), Some(("answer-1b", AnswerStatus::Streaming, false)));
    assert_eq!(duplicate_of(&stack, &eve, &turn).await, None, "it is not hers");
}

#[tokio::test]
async fn an_edit_or_a_regeneration_is_a_duplicate_only_of_a_running_turn() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    let question = || message_id("question-1");
    let displaced_id = message_id("stepped-aside");
    let edit = with_question(
        "edited",
        new_turn("the-chat", Placement::Edit { question: question(), displaced_id }, "answer-02"),
    );
    let again = new_turn("the-chat", Placement::Regenerate { question: question() }, "answer-03");
    assert_eq!(duplicate_of(&stack, &ada, &edit).await, None);
    assert_eq!(duplicate_of(&stack, &ada, &again).await, None);

    let begun = begin(&stack, &ada, &edit).await.unwrap();
    let running = Some(("answer-02", AnswerStatus::Streaming, true));
    assert_eq!(summary(duplicate_of(&stack, &ada, &edit).await.as_ref()), running);
    assert_eq!(summary(duplicate_of(&stack, &ada, &again).await.as_ref()), running);
    assert_eq!(
        duplicate_of(&stack, &ada, &with_question("edited once more", edit.clone())).await,
        None
    );
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    assert_eq!(duplicate_of(&stack, &ada, &edit).await, None);
}

#[tokio::test]
async fn an_idempotency_key_finds_its_turn_however_that_ended() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let turn = with_idempotency_key(next_turn("the-chat", 1), "the key");
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    finish(&stack, &begun, &Answer::default(), &Outcome::Stopped).await.unwrap();

    // A client that sends no question id gets another one for each request.
    let place = Placement::Append { question: message_id("another-id") };
    let again = NewTurn { placement: place, ..turn.clone() };
    assert_eq!(
        summary(duplicate_of(&stack, &ada, &again).await.as_ref()),
        Some(("answer-01", AnswerStatus::Stopped, true))
    );
    for other in [
        with_question("something else", again.clone()),
        NewTurn { chat: ChatId::parse("another-chat").unwrap(), ..again.clone() },
    ] {
        let other = duplicate_of(&stack, &ada, &other).await;
        assert_eq!(summary(other.as_ref()), Some(("answer-01", AnswerStatus::Stopped, false)));
    }
    assert_eq!(duplicate_of(&stack, &eve, &again).await, None);

    // A regeneration is a new turn, unless its idempotency key is used.
    let place = Placement::Regenerate { question: message_id("question-1") };
    let regenerated = with_idempotency_key(new_turn("the-chat", place, "answer-02"), "another key");
    let begun = begin(&stack, &ada, &regenerated).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    assert_eq!(
        summary(duplicate_of(&stack, &ada, &regenerated).await.as_ref()),
        Some(("answer-02", AnswerStatus::Complete, true))
    );
    stack.owner().await.execute("delete from chats", &[]).await.unwrap();
    assert_eq!(duplicate_of(&stack, &ada, &regenerated).await, None);
}

#[tokio::test]
async fn the_turn_of_a_chat_is_that_of_its_head_or_of_the_given_answer() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Interrupted).await.unwrap();
    begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    begin(&stack, &ada, &next_turn("other-chat", 3)).await.unwrap();
    let turn_of = async |session: &Session, chat: &str, answer: Option<&str>| {
        let (database, chat) = (stack.database(), ChatId::parse(chat).unwrap());
        let answer = answer.map(message_id);
        let request = database.request(session, stack.clock.now());
        request.turn_of(&chat, answer.as_ref()).await.unwrap()
    };
    let found = |lookup| {
        let TurnLookup::Turn(turn) = lookup else { unreachable!("{lookup:?}") };
        (turn.answer.to_string(), turn.status)
    };
    assert_eq!(
        found(turn_of(&ada, "the-chat", None).await),
        ("answer-02".to_owned(), AnswerStatus::Streaming)
    );
    assert_eq!(
        found(turn_of(&ada, "the-chat", Some("answer-01")).await),
        ("answer-01".to_owned(), AnswerStatus::Interrupted)
    );
    for not_there in ["answer-03", "question-1", "answer-99"] {
        assert_eq!(turn_of(&ada, "the-chat", Some(not_there)).await, TurnLookup::NoTurn);
    }
    for (session, chat) in [(&eve, "the-chat"), (&ada, "no-such-chat")] {
        assert_eq!(turn_of(session, chat, None).await, TurnLookup::NoChat);
    }
}

#[tokio::test]
async fn a_stored_answer_has_all_that_a_replay_needs() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let stored = async |session: &Session, answer: &str| {
        let (database, id) = (stack.database(), message_id(answer));
        database.request(session, stack.clock.now()).stored_answer(&id).await.unwrap()
    };
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    let open = stored(&ada, "answer-01").await.unwrap();
    assert_eq!((open.status, open.charge), (AnswerStatus::Streaming, None));
    let answer = answer_of("reply");
    finish(&stack, &begun, &answer, &Outcome::Complete).await.unwrap();

    let replay = stored(&ada, "answer-01").await.unwrap();
    assert_eq!(replay.status, AnswerStatus::Complete);
    assert_eq!(replay.parts, [Part::Text { text: "reply".into() }]);
    assert_eq!(replay.finish_reason, Some(FinishReason::Stop));
    assert_eq!((replay.model.as_deref(), replay.error_code), (Some("fake/other"), None));
    assert_eq!(replay.usage, answer.usage());
    assert_eq!(replay.charge, Some(begun.charge(&answer)));
    assert_eq!(stored(&eve, "answer-01").await, None);
    assert_eq!(stored(&ada, "question-1").await, None);

    let begun = begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    finish(&stack, &begun, &Answer::default(), &failed).await.unwrap();
    let replay = stored(&ada, "answer-02").await.unwrap();
    assert_eq!(replay.error_code.as_deref(), Some("model_failed"));
    let of = stack.plans().free().id.clone();
    assert_eq!(replay.charge, Some(Charge::Credits { credits: 0, left: 4, of }));
    assert_eq!(replay.usage, None);

    stack.byok(&ada, "sk-or-v1-0123456789", KeyPolicy::Always, None).await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 3)).await.unwrap();
    finish(&stack, &begun, &answer, &Outcome::Complete).await.unwrap();
    assert_eq!(stored(&ada, "answer-03").await.unwrap().charge, Some(Charge::Byok));
    assert_eq!(count(&stack, "select count(*) from turns where state = 'settled'").await, 2);
}
