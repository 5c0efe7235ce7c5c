//! Finished turns that a job stores later: once, whatever has happened since.

use std::time::Duration;

use shared_core::chat::{FinishedTurn, NewTurn, Outcome, Placement, Question};
use shared_core::identity::Session;
use shared_postgres::{BegunTurn, StoreResult};
use testkit::{ReadyFile, TestStack, answer_of, message_id, new_turn, next_turn};

use crate::setup::{begin, count, cut_off, finish, jobs, overview, stack, tree, value};

fn finished(stack: &TestStack, begun: &BegunTurn) -> FinishedTurn {
    begun.finished(&answer_of("hello"), &Outcome::Complete, stack.clock.now())
}

async fn store(stack: &TestStack, turn: &FinishedTurn) -> StoreResult {
    jobs(stack).store_finished(turn).await.unwrap()
}

/// A turn that ends a second after it began, and whose end is not stored.
async fn unstored(stack: &TestStack, session: &Session, turn: &NewTurn) -> FinishedTurn {
    let begun = begin(stack, session, turn).await.unwrap();
    stack.clock.advance(Duration::from_secs(1));
    finished(stack, &begun)
}

/// The same, but lost: Postgres crashed before its beginning was on disk, so all that the transaction did is undone.
async fn lost(stack: &TestStack, session: &Session, turn: &NewTurn) -> FinishedTurn {
    let late = unstored(stack, session, turn).await;
    let answer = turn.answer.as_str();
    let (added, undo_edit) = match &turn.placement {
        Placement::Append { question } => (format!("'{question}', '{answer}'"), String::new()),
        Placement::Edit { question, displaced_id } => (
            format!("'{question}', '{answer}'"),
            format!("update messages set id = '{question}' where id = '{displaced_id}';"),
        ),
        Placement::Regenerate { .. } => (format!("'{answer}'"), String::new()),
    };
    let undo = format!(
        "update chats c set turns = turns - 1,
                head_id = (select id from messages m where m.chat_id = c.id and m.id not in ({added})
                            order by created_at desc, role limit 1)
          where id = '{chat}';
         delete from messages where id in ({added}); {undo_edit}
         delete from chats c where not exists (select from messages m where m.chat_id = c.id);
         with undone as (delete from turns where answer_id = '{answer}' returning *)
         update allowances a set balance = balance + u.credits from undone u
          where (a.user_id, a.plan, a.starts_at) = (u.user_id, u.plan, u.starts_at);
         delete from credit_ledger where reference = '{answer}'",
        chat = turn.chat,
    );
    stack.owner().await.batch_execute(&undo).await.unwrap();
    stack.assert_books_are_right().await;
    late
}

#[tokio::test]
async fn a_turn_that_could_not_be_stored_is_stored_and_settled_later() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let late = unstored(&stack, &ada, &next_turn("the-chat", 1)).await;
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(store(&stack, &late).await, StoreResult::Duplicate);
    assert_eq!(overview(&stack, "answer-01").await, r#"complete "hello" settled 7"#);
    assert_eq!(value(&stack, "select generation_id from turns").await, "gen-1");

    // One that was closed as orphaned meanwhile.
    let late = unstored(&stack, &ada, &next_turn("the-chat", 2)).await;
    let (database, now) = (stack.database(), stack.clock.now());
    database.interrupt_turn(late.user, &late.answer_id, &cut_off("hel"), now).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(overview(&stack, "answer-02").await, r#"complete "hello" settled 7"#);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">question-1 question-1>answer-01 answer-01>question-2 question-2>answer-02*"
    );
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_turn_that_has_ended_otherwise_stays_as_it_is() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    let late = finished(&stack, &begun);
    finish(&stack, &begun, &answer_of("stopped"), &Outcome::Stopped).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Duplicate);
    assert_eq!(overview(&stack, "answer-01").await, r#"stopped "stopped" settled 7"#);
}

#[tokio::test]
async fn a_turn_whose_chat_is_deleted_is_settled_and_not_restored() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let late = unstored(&stack, &ada, &next_turn("the-chat", 1)).await;
    let owner = stack.owner().await;
    owner.execute("delete from chats", &[]).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Deleted);
    assert_eq!(store(&stack, &late).await, StoreResult::Deleted);
    assert_eq!(overview(&stack, "answer-01").await, "settled 7");
    assert_eq!(count(&stack, "select count(*) from chats").await, 0);
    stack.assert_books_are_right().await;

    owner.execute("delete from users", &[]).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Deleted);
    assert_eq!(count(&stack, "select count(*) from turns").await, 0);
}

#[tokio::test]
async fn a_lost_turn_is_restored_once_and_is_free() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let first = lost(&stack, &ada, &next_turn("the-chat", 1)).await;
    assert_eq!(count(&stack, "select count(*) from chats").await, 0);
    let (one, other) = tokio::join!(store(&stack, &first), store(&stack, &first));
    assert!(
        [one, other].contains(&StoreResult::Stored)
            && [one, other].contains(&StoreResult::Duplicate)
    );
    assert_eq!(tree(&stack, "the-chat").await, ">question-1 question-1>answer-01*");
    let title = "select concat_ws(' / ', title, turns, created_at < updated_at) from chats";
    assert_eq!(value(&stack, title).await, "question of answer-01 / 1 / f");

    let second = lost(&stack, &ada, &next_turn("the-chat", 2)).await;
    assert_eq!(store(&stack, &second).await, StoreResult::Stored);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">question-1 question-1>answer-01 answer-01>question-2 question-2>answer-02*"
    );
    assert_eq!(overview(&stack, "answer-02").await, r#"complete "hello" withdrawn"#);
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 5);
    stack.assert_books_are_right().await;

    // It is not restored a second time.
    stack.owner().await.execute("delete from chats", &[]).await.unwrap();
    assert_eq!(store(&stack, &first).await, StoreResult::Deleted);
    assert_eq!(count(&stack, "select count(*) from chats").await, 0);
}

#[tokio::test]
async fn finishing_a_lost_turn_restores_it_too() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    let crash = "delete from chats; delete from turns; delete from allowances";
    stack.owner().await.batch_execute(crash).await.unwrap();
    finish(&stack, &begun, &answer_of("hello"), &Outcome::Complete).await.unwrap();
    assert_eq!(overview(&stack, "answer-01").await, r#"complete "hello" withdrawn"#);
    stack.assert_books_are_right().await;
    // Closing a lost turn as orphaned does not restore it.
    stack.owner().await.batch_execute(crash).await.unwrap();
    let (database, now) = (stack.database(), stack.clock.now());
    let partial = cut_off("hel");
    assert!(!database.interrupt_turn(begun.user, &begun.answer, &partial, now).await.unwrap());
    assert_eq!(count(&stack, "select count(*) from chats").await, 0);
}

/// Race: another job restores the turn while `finish_turn` looks for it. Locking `turns` holds the call in the middle.
#[tokio::test]
async fn a_turn_that_is_restored_meanwhile_is_not_taken_for_a_deleted_one() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let late = unstored(&stack, &ada, &next_turn("the-chat", 1)).await;
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);

    let mut owner = stack.owner().await;
    let lose = "create temp table lost_chats as table chats;
                update lost_chats set head_id = null;
                create temp table lost_messages as table messages;
                create temp table lost_turns as table turns;
                delete from chats;
                delete from turns";
    owner.batch_execute(lose).await.unwrap();
    let restoring = owner.transaction().await.unwrap();
    restoring.batch_execute("lock table turns").await.unwrap();
    let restore = async {
        let blocked =
            "select count(*) from pg_locks where relation = 'turns'::regclass and not granted";
        while restoring.query_one(blocked, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let restored = "insert into turns table lost_turns;
                        insert into chats table lost_chats;
                        insert into messages table lost_messages";
        restoring.batch_execute(restored).await.unwrap();
        restoring.commit().await.unwrap();
    };
    let (result, ()) = tokio::join!(store(&stack, &late), restore);
    assert_eq!(result, StoreResult::Duplicate);
}

/// A chat of one turn, and a second turn of that chat that is lost.
async fn chat_and_lost_turn(place: Placement) -> (TestStack, Session, FinishedTurn) {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    let late = lost(&stack, &ada, &new_turn("the-chat", place, "answer-02")).await;
    assert_eq!(tree(&stack, "the-chat").await, ">question-1 question-1>answer-01*");
    (stack, ada, late)
}

#[tokio::test]
async fn a_lost_regeneration_is_restored_below_its_question() {
    let place = Placement::Regenerate { question: message_id("question-1") };
    let (stack, _, late) = chat_and_lost_turn(place).await;
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">question-1 question-1>answer-01 question-1>answer-02*"
    );
}

#[tokio::test]
async fn a_lost_edit_replaces_its_question_unless_that_was_edited_again() {
    let place = || Placement::Edit {
        question: message_id("question-1"),
        displaced_id: message_id("stepped-aside"),
    };
    let (stack, _, late) = chat_and_lost_turn(place()).await;
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">stepped-aside stepped-aside>answer-01 >question-1 question-1>answer-02*"
    );

    let (stack, ada, late) = chat_and_lost_turn(place()).await;
    let edit = Placement::Edit {
        question: message_id("question-1"),
        displaced_id: message_id("other-displaced"),
    };
    begin(&stack, &ada, &new_turn("the-chat", edit, "answer-03")).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">other-displaced other-displaced>answer-01 >stepped-aside stepped-aside>answer-02 \
         >question-1 question-1>answer-03*"
    );
}

#[tokio::test]
async fn a_restored_turn_does_not_move_later_ones() {
    let place = || Placement::Append { question: message_id("question-2") };
    // Its user has asked something else.
    let (stack, ada, late) = chat_and_lost_turn(place()).await;
    begin(&stack, &ada, &next_turn("the-chat", 3)).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">question-1 question-1>answer-01 answer-01>question-2 question-2>answer-02 \
         answer-01>question-3 question-3>answer-03*"
    );
    // Or the same question again: both answers are below it.
    let (stack, ada, late) = chat_and_lost_turn(place()).await;
    begin(&stack, &ada, &new_turn("the-chat", place(), "answer-03")).await.unwrap();
    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    assert_eq!(
        tree(&stack, "the-chat").await,
        ">question-1 question-1>answer-01 question-2>answer-02 answer-01>question-2 \
         question-2>answer-03*"
    );
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_lost_edit_or_regeneration_restores_its_question_if_that_is_lost_too() {
    for place in [
        Placement::Regenerate { question: message_id("question-9") },
        Placement::Edit {
            question: message_id("question-9"),
            displaced_id: message_id("stepped-aside"),
        },
    ] {
        let stack = stack().await;
        let ada = stack.session("ada@example.com").await;
        let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
        stack.owner().await.batch_execute("delete from chats; delete from turns").await.unwrap();
        let late = FinishedTurn { placement: place, ..finished(&stack, &begun) };
        assert_eq!(store(&stack, &late).await, StoreResult::Stored);
        assert_eq!(tree(&stack, "the-chat").await, ">question-9 question-9>answer-01*");
    }
}

#[tokio::test]
async fn a_restored_question_has_its_files_again_as_far_as_they_are_there() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let image = ReadyFile::IMAGE;
    let (kept, deleted) =
        (stack.ready_upload(&ada, &image).await, stack.ready_upload(&ada, &image).await);
    let turn = next_turn("the-chat", 1);
    let turn = NewTurn { question: Question::default(), files: vec![kept, deleted], ..turn };
    let begun = begin(&stack, &ada, &turn).await.unwrap();
    let late = finished(&stack, &begun);
    assert_eq!(late.files.len(), 2);
    let owner = stack.owner().await;
    owner.batch_execute("delete from chats; delete from turns").await.unwrap();
    stack.until_count(2, "select count(*) from uploads where removal_at is not null").await;
    stack.database().request(&ada, stack.clock.now()).delete_upload(deleted).await.unwrap();

    assert_eq!(store(&stack, &late).await, StoreResult::Stored);
    let message =
        "select title, parts -> 0 ->> 'url', parts -> 1 ->> 'url', parts -> 1 ->> 'filename'
                     from chats, messages
                    where role = 'user'";
    let message = owner.query_one(message, &[]).await.unwrap();
    let text = |column| message.get::<_, String>(column);
    let expected = ["ship.png".to_owned(), kept.url(), String::new(), "ship.png".to_owned()];
    assert_eq!([text(0), text(1), text(2), text(3)], expected);
    let linked = "select count(*) from message_files join uploads on id = upload_id where removal_at is null";
    stack.until_count(1, linked).await;
}
