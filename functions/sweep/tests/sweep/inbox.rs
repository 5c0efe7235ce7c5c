//! Turns that could not be stored in Postgres.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local_stack::PrivateServers;
use shared_aws::Aws;
use shared_core::chat::{FinishedTurn, ORPHANED_AFTER, Outcome, Placement};
use shared_core::identity::Session;
use shared_core::ids::ChatId;
use shared_inbox::Depth;
use shared_postgres::{DatabaseConfig, Destructive, Jobs, migrate};
use shared_turns::{TURNS, finished_turn};
use sweep::{Deps, sweep};
use testkit::{TestStack, answer_of, message_id};

use crate::setup::{A, AMPLE, begun, count, deps, killed, stack, swept, vault};

/// A turn that has begun and ended, and whose end is only in the inbox.
async fn waits(stack: &TestStack, session: &Session, number: usize) -> FinishedTurn {
    let turn = begun(stack, session, number).await;
    let finished = turn.finished(&answer_of("words"), &Outcome::Complete, stack.clock.now());
    stack.put_turn(&finished).await;
    finished
}

/// Ada, who has 250 credits.
async fn ada(stack: &TestStack) -> Session {
    let ada = stack.session("ada@example.com").await;
    stack.premium(&ada).await;
    ada
}

async fn depth(stack: &TestStack) -> (u64, u64) {
    let Depth { waiting, failed } = stack.inbox().depth(TURNS).await.unwrap();
    (waiting, failed)
}

const COMPLETE: &str = "select count(*) from messages
    where status = 'complete' and role = 'assistant' and parts->0->>'text' = 'words' and cost_nano_usd = 7";
const SETTLED: &str = "select count(*) from turns where state = 'settled' and prompt_tokens = 3";

#[tokio::test]
async fn a_waiting_turn_is_stored_and_settled() {
    let stack = stack().await;
    let ada = ada(&stack).await;
    waits(&stack, &ada, 1).await;
    let report = swept(&stack, vault(&[A])).await;
    assert_eq!(
        (
            report.count("turnsStored").unwrap(),
            report.count("inboxWaiting"),
            report.count("inboxFailed")
        ),
        (1, Some(0), Some(0))
    );
    assert!(report.did_something());
    assert_eq!((count(&stack, COMPLETE).await, count(&stack, SETTLED).await), (1, 1));
    stack.assert_books_are_right().await;
    assert!(!swept(&stack, vault(&[A])).await.did_something());
}

#[tokio::test]
async fn storing_is_idempotent_for_duplicates_and_racing_runs() {
    let stack = stack().await;
    let ada = ada(&stack).await;
    let mut turns = Vec::new();
    for number in 0..45 {
        turns.push(waits(&stack, &ada, number).await);
    }
    for turn in turns.iter().step_by(3) {
        // A retry, as by a function that lost the acknowledgement of its first attempt.
        stack.put_turn(turn).await;
    }
    let (one, other) = (deps(&stack, vault(&[A])), deps(&stack, vault(&[A])));
    let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
    assert_eq!(
        one.unwrap().count("turnsStored").unwrap() + other.unwrap().count("turnsStored").unwrap(),
        45
    );
    assert_eq!((count(&stack, COMPLETE).await, count(&stack, SETTLED).await), (45, 45));
    assert_eq!(depth(&stack).await, (0, 0));
    stack.assert_books_are_right().await;

    // And a duplicate after all of that.
    stack.put_turn(&turns[7]).await;
    let report = swept(&stack, vault(&[A])).await;
    assert_eq!((report.count("turnsStored").unwrap(), report.count("inboxWaiting")), (0, Some(0)));
    assert_eq!(count(&stack, SETTLED).await, 45);
}

#[tokio::test]
async fn a_run_that_is_killed_stores_nothing_twice_and_loses_nothing() {
    let stack = stack().await;
    let ada = ada(&stack).await;
    for number in 0..60 {
        waits(&stack, &ada, number).await;
    }
    for looks in [2, 9, 24, 25] {
        killed(&stack, vault(&[A]), looks).await;
        stack.assert_books_are_right().await;
    }
    let left = depth(&stack).await.0;
    assert!((20..60).contains(&left), "it was killed too early or too late: {left}");
    assert_eq!(swept(&stack, vault(&[A])).await.count("inboxWaiting"), Some(0));
    assert_eq!((count(&stack, COMPLETE).await, count(&stack, SETTLED).await), (60, 60));
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn the_inbox_takes_precedence_over_the_live_log_of_an_orphaned_turn() {
    let stack = stack().await;
    let ada = ada(&stack).await;
    waits(&stack, &ada, 1).await;
    stack.clock.advance(ORPHANED_AFTER * 2);
    let report = swept(&stack, vault(&[A])).await;
    assert_eq!(
        (report.count("turnsStored").unwrap(), report.count("orphanedTurnsClosed").unwrap()),
        (1, 0)
    );

    // Also if the item comes after the turn was closed as orphaned.
    let late = begun(&stack, &ada, 2).await;
    stack.clock.advance(ORPHANED_AFTER * 2);
    assert_eq!(swept(&stack, vault(&[A])).await.count("orphanedTurnsClosed").unwrap(), 1);
    let end = late.finished(&answer_of("words"), &Outcome::Complete, stack.clock.now());
    stack.put_turn(&end).await;
    assert_eq!(swept(&stack, vault(&[A])).await.count("turnsStored").unwrap(), 1);
    assert_eq!(count(&stack, COMPLETE).await, 2);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_turn_that_postgres_rejects_stays_is_counted_and_does_not_block_others() {
    let stack = stack().await;
    let ada = ada(&stack).await;
    begun(&stack, &ada, 99).await;
    // A turn that Postgres has lost, and whose question has an id that Ada has used in another chat since.
    let begun = begun(&stack, &ada, 0).await;
    let forgotten = FinishedTurn {
        chat: ChatId::parse("chat-0098").unwrap(),
        placement: Placement::Append { question: message_id("question-99") },
        answer_id: message_id("aaa-answer"),
        ..begun.finished(&answer_of("words"), &Outcome::Complete, stack.clock.now())
    };
    stack.put_turn(&forgotten).await;
    put_rubbish(&stack).await;
    waits(&stack, &ada, 1).await;

    for stored in [1, 0] {
        let report = swept(&stack, vault(&[A])).await;
        assert_eq!(report.count("turnsStored").unwrap(), stored);
        assert_eq!(
            (report.count("inboxWaiting"), report.count("inboxFailed")),
            (Some(2), Some(2)),
            "{report:?}"
        );
        assert!(report.did_something());
    }
    let page = stack.inbox().waiting_items(TURNS, None).await.unwrap();
    let waiting = &page.items[0];
    assert_eq!(waiting.attempts, 2);
    assert_eq!(finished_turn(&waiting.item), Ok(forgotten));

    // Once the cause is gone it is stored like any other.
    stack.owner().await.batch_execute("delete from chats where id = 'chat-0099'").await.unwrap();
    let report = swept(&stack, vault(&[A])).await;
    assert_eq!(
        (
            report.count("turnsStored").unwrap(),
            report.count("inboxWaiting"),
            report.count("inboxFailed")
        ),
        (1, Some(1), Some(1))
    );
}

/// An item that no version of a function has written.
async fn put_rubbish(stack: &TestStack) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let client = Client::new(Aws::from_env(&stack.env()).unwrap().sdk_config());
    let put = client.put_item().table_name("inbox").item("pk", text("turn#waiting"));
    put.item("sk", text("aab-rubbish")).item("pieces", text("many")).send().await.unwrap();
}

#[tokio::test]
async fn while_postgres_is_unavailable_turns_wait_and_no_attempt_is_counted() {
    let mut stack = stack().await;
    let servers = PrivateServers::start().await.unwrap();
    let owner = DatabaseConfig::at(&servers.owner_url());
    migrate(&owner, Destructive::Refused).await.unwrap();
    stack.set("DATABASE_URL", servers.app_url());
    let jobs = Jobs::new(&owner, stack.clock.clock()).unwrap();
    let deps = Deps { jobs, ..deps(&stack, vault(&[A])) };
    // Opens a connection, which is a dead connection later.
    assert!(!sweep(&deps, AMPLE).await.unwrap().did_something());
    let ada = stack.session("ada@example.com").await;
    for number in 0..3 {
        waits(&stack, &ada, number).await;
    }

    servers.postgres().stop().await;
    let error = sweep(&deps, AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("inbox: postgres: "), "{error}");
    let report = &error.report;
    assert_eq!(
        (report.count("inboxWaiting"), report.count("inboxFailed")),
        (Some(3), Some(0)),
        "{report:?}"
    );
    assert_eq!(
        (report.count("turnsStored").unwrap(), report.count("orphanedTurnsStuck")),
        (0, None)
    );

    servers.postgres().start().await.unwrap();
    let report = sweep(&deps, AMPLE).await.unwrap();
    assert_eq!(
        (report.count("turnsStored").unwrap(), report.count("inboxWaiting")),
        (3, Some(0)),
        "{report:?}"
    );
}
