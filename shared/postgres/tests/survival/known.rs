//! What is known of a turn that has begun.

use shared_core::answer::{Answer, FinishReason};
use shared_core::chat::{AnswerStatus, Part};
use shared_core::credits::Charge;
use shared_core::ids::ChatId;
use shared_core::keys::KeyPolicy;
use shared_core::outcome::Outcome;
use shared_core::session::Session;
use shared_core::turn::{NewTurn, Placement, Question};
use shared_postgres::{DatabaseError, DuplicateTurn};
use testkit::{TestStack, answer_of, message_id, new_turn, next_turn};

use crate::setup::{begin, count, finish, stack, with_key};

async fn known(stack: &TestStack, session: &Session, turn: &NewTurn) -> Option<DuplicateTurn> {
    stack.database().request(session, stack.clock.now()).duplicate_of(turn).await.unwrap()
}

/// Which answer, how far it has come, and whether the same was asked.
fn said(known: Option<&DuplicateTurn>) -> Option<(&str, AnswerStatus, bool)> {
    known.map(|known| (known.turn.answer.as_str(), known.turn.status, known.is_same))
}

fn asking(text: &str, turn: NewTurn) -> NewTurn {
    NewTurn { question: Question::parse([text], 100).unwrap(), ..turn }
}

#[tokio::test]
async fn a_question_that_is_sent_again_is_known_by_its_newest_answer() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let turn = next_turn("the-chat", 1);
    assert_eq!(known(&stack, &ada, &turn).await, None);
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    let first = known(&stack, &ada, &turn).await;
    assert_eq!(said(first.as_ref()), Some(("answer-01", AnswerStatus::Streaming, true)));
    assert_eq!(first.unwrap().turn.began_at, begun.began_at);
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Stopped).await.unwrap();
    assert_eq!(
        said(known(&stack, &ada, &turn).await.as_ref()),
        Some(("answer-01", AnswerStatus::Stopped, true))
    );

    let again = new_turn(
        "the-chat",
        Placement::Regenerate { question: message_id("question-1") },
        "answer-1b",
    );
    begin(&stack, &ada, &again).await.unwrap();
    assert_eq!(
        said(known(&stack, &ada, &turn).await.as_ref()),
        Some(("answer-1b", AnswerStatus::Streaming, true))
    );
    let other_text = asking("something else", turn.clone());
    let other = known(&stack, &ada, &other_text).await;
    assert_eq!(said(other.as_ref()), Some(("answer-1b", AnswerStatus::Streaming, false)));
    assert_eq!(known(&stack, &eve, &turn).await, None, "it is not hers");
}

#[tokio::test]
async fn to_edit_or_to_ask_again_repeats_only_what_is_running() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    let question = || message_id("question-1");
    let displaced_id = message_id("stepped-aside");
    let edit = asking(
        "edited",
        new_turn("the-chat", Placement::Edit { question: question(), displaced_id }, "answer-02"),
    );
    let again = new_turn("the-chat", Placement::Regenerate { question: question() }, "answer-03");
    assert_eq!(known(&stack, &ada, &edit).await, None);
    assert_eq!(known(&stack, &ada, &again).await, None);

    let begun = begin(&stack, &ada, &edit).await.unwrap();
    let running = Some(("answer-02", AnswerStatus::Streaming, true));
    assert_eq!(said(known(&stack, &ada, &edit).await.as_ref()), running);
    assert_eq!(said(known(&stack, &ada, &again).await.as_ref()), running);
    assert_eq!(known(&stack, &ada, &asking("edited once more", edit.clone())).await, None);
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    assert_eq!(known(&stack, &ada, &edit).await, None);
}

#[tokio::test]
async fn a_key_knows_its_turn_however_that_ended() {
    let stack = stack().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let turn = with_key(next_turn("the-chat", 1), "the key");
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    finish(&stack, &begun, &Answer::default(), &Outcome::Stopped).await.unwrap();

    // A client that does not name its question draws another id each time.
    let place = Placement::Append { question: message_id("drawn-anew") };
    let again = NewTurn { placement: place, ..turn.clone() };
    assert_eq!(
        said(known(&stack, &ada, &again).await.as_ref()),
        Some(("answer-01", AnswerStatus::Stopped, true))
    );
    for other in [
        asking("something else", again.clone()),
        NewTurn { chat: ChatId::parse("another-chat").unwrap(), ..again.clone() },
    ] {
        let other = known(&stack, &ada, &other).await;
        assert_eq!(said(other.as_ref()), Some(("answer-01", AnswerStatus::Stopped, false)));
    }
    assert_eq!(known(&stack, &eve, &again).await, None);

    // To answer again is a new turn, unless the key says that it is not.
    let place = Placement::Regenerate { question: message_id("question-1") };
    let once_more = with_key(new_turn("the-chat", place, "answer-02"), "another key");
    let begun = begin(&stack, &ada, &once_more).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    assert_eq!(
        said(known(&stack, &ada, &once_more).await.as_ref()),
        Some(("answer-02", AnswerStatus::Complete, true))
    );
    stack.owner().await.execute("delete from chats", &[]).await.unwrap();
    assert_eq!(known(&stack, &ada, &once_more).await, None);
}

#[tokio::test]
async fn the_turn_of_a_chat_is_its_head_or_the_one_that_is_named() {
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
        let turn = request.turn_of(&chat, answer.as_ref()).await;
        turn.map(|turn| turn.map(|turn| (turn.answer.to_string(), turn.status)))
    };
    let known = |answer: &str, status| Some((answer.to_owned(), status));
    assert_eq!(
        turn_of(&ada, "the-chat", None).await.unwrap(),
        known("answer-02", AnswerStatus::Streaming)
    );
    assert_eq!(
        turn_of(&ada, "the-chat", Some("answer-01")).await.unwrap(),
        known("answer-01", AnswerStatus::Interrupted)
    );
    for not_there in ["answer-03", "question-1", "answer-99"] {
        assert_eq!(turn_of(&ada, "the-chat", Some(not_there)).await.unwrap(), None);
    }
    for (session, chat) in [(&eve, "the-chat"), (&ada, "no-such-chat")] {
        let not_there = turn_of(session, chat, None).await;
        assert!(matches!(not_there, Err(DatabaseError::ChatNotFound)), "{not_there:?}");
    }
}

#[tokio::test]
async fn a_stored_answer_has_all_that_it_was_told_with() {
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

    let told = stored(&ada, "answer-01").await.unwrap();
    assert_eq!(told.status, AnswerStatus::Complete);
    assert_eq!(told.parts, [Part::Text { text: "reply".into() }]);
    assert_eq!(told.finish_reason, Some(FinishReason::Stop));
    assert_eq!((told.model.as_deref(), told.error_code), (Some("fake/other"), None));
    assert_eq!(told.usage, answer.usage());
    assert_eq!(told.charge, Some(begun.charge(&answer)));
    assert_eq!(stored(&eve, "answer-01").await, None);
    assert_eq!(stored(&ada, "question-1").await, None);

    let begun = begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    finish(&stack, &begun, &Answer::default(), &failed).await.unwrap();
    let told = stored(&ada, "answer-02").await.unwrap();
    assert_eq!(told.error_code.as_deref(), Some("model_failed"));
    let of = stack.plans().free().id.clone();
    assert_eq!(told.charge, Some(Charge::Credits { credits: 0, left: 4, of }));
    assert_eq!(told.usage, None);

    stack.byok(&ada, "sk-or-v1-0123456789", KeyPolicy::Always, None).await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 3)).await.unwrap();
    finish(&stack, &begun, &answer, &Outcome::Complete).await.unwrap();
    assert_eq!(stored(&ada, "answer-03").await.unwrap().charge, Some(Charge::Byok));
    assert_eq!(count(&stack, "select count(*) from turns where state = 'settled'").await, 2);
}
