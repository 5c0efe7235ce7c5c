//! Turns in the database: storing them, reading the context back, and the sessions that may.

use std::time::Duration;

use shared_core::chat::{NewTurn, ORPHANED_AFTER, Outcome, Placement, Question};
use shared_core::identity::Session;
use shared_core::store::StoreError;
use shared_postgres::{BeginTurnError, BegunTurn, FinishTurnError, TurnEnd};
use testkit::{TestStack, answer_of, message_id, new_turn, next_turn};

async fn begin(
    stack: &TestStack,
    session: &Session,
    turn: NewTurn,
) -> Result<BegunTurn, BeginTurnError> {
    // A second later than the turn before.
    stack.clock.advance(Duration::from_secs(1));
    stack
        .database()
        .request(session, stack.clock.clock().now())
        .begin_turn(&turn, &stack.plans(), None)
        .await
}

async fn finish(stack: &TestStack, begun: &BegunTurn, text: &str) -> Result<(), FinishTurnError> {
    let answer = answer_of(text);
    let end =
        TurnEnd { answer: &answer, outcome: &Outcome::Complete, at: stack.clock.clock().now() };
    stack.database().finish_turn(begun, end).await
}

fn texts(begun: &BegunTurn) -> Vec<String> {
    begun.context.messages.iter().map(shared_core::chat::Message::text).collect()
}

#[tokio::test]
async fn the_context_is_the_newest_five_messages_oldest_first_and_the_newest_summary() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    for number in 1..=3 {
        let begun = begin(&stack, &ada, next_turn("the-chat", number)).await.unwrap();
        finish(&stack, &begun, &format!("reply {number}")).await.unwrap();
    }
    for (content, age) in [("old", "2 hours"), ("new", "1 hour")] {
        let sql = format!(
            "insert into summaries (id, user_id, chat_id, through_id, content, created_at)
             values (gen_random_uuid(), $1, 'the-chat', 'question-1', '{content}', now() - interval '{age}')"
        );
        stack.owner().await.execute(&sql, &[&ada.user.0]).await.unwrap();
    }
    let begun = begin(&stack, &ada, next_turn("the-chat", 4)).await.unwrap();
    assert_eq!(
        texts(&begun),
        ["reply 1", "question of answer-02", "reply 2", "question of answer-03", "reply 3"]
    );
    assert_eq!(begun.context.summary.as_deref(), Some("new"));
}

#[tokio::test]
async fn an_answer_is_stored_with_its_usage() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, next_turn("the-chat", 1)).await.unwrap();
    let row = "select status, parts::text, model, generation_id, finish_reason, prompt_tokens, cost_nano_usd
                 from messages where id = 'answer-01'";
    let owner = stack.owner().await;
    assert_eq!(owner.query_one(row, &[]).await.unwrap().get::<_, String>(0), "streaming");
    finish(&stack, &begun, "reply").await.unwrap();
    let stored = owner.query_one(row, &[]).await.unwrap();
    assert_eq!(stored.get::<_, String>(0), "complete");
    assert_eq!(stored.get::<_, String>(1), r#"[{"text": "reply", "type": "text"}]"#);
    assert_eq!(stored.get::<_, String>(2), "fake/other");
    assert_eq!(stored.get::<_, String>(3), "gen-1");
    assert_eq!(stored.get::<_, String>(4), "stop");
    assert_eq!((stored.get::<_, i32>(5), stored.get::<_, i64>(6)), (3, 7));
}

#[tokio::test]
async fn logging_out_does_not_lose_a_streaming_answer() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, next_turn("the-chat", 1)).await.unwrap();
    stack.database().request(&ada, stack.clock.clock().now()).log_out().await.unwrap();
    finish(&stack, &begun, "reply").await.unwrap();
}

#[tokio::test]
async fn an_id_is_used_once_per_user_and_a_chat_has_one_owner() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    begin(&stack, &ada, next_turn("adas-chat", 1)).await.unwrap();
    let again = begin(&stack, &ada, next_turn("adas-chat", 1)).await;
    assert!(matches!(again, Err(BeginTurnError::Duplicate)), "{again:?}");
    let elsewhere = begin(&stack, &ada, next_turn("other-chat", 1)).await;
    assert!(matches!(elsewhere, Err(BeginTurnError::MessageExists)), "{elsewhere:?}");
    // Eve's chat of the same id is another chat, and Ada's question is not in it.
    let again = Placement::Regenerate { question: message_id("question-1") };
    let peeking = begin(&stack, &eve, new_turn("adas-chat", again, "answer-77")).await;
    assert!(matches!(peeking, Err(BeginTurnError::MessageNotFound)), "{peeking:?}");
    // A refused turn stores nothing.
    stack.until_count(1, "select count(*) from chats").await;
    stack.until_count(2, "select count(*) from messages").await;
}

#[tokio::test]
async fn regenerating_adds_a_sibling_and_reads_the_stored_question() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    for number in 1..=2 {
        let begun = begin(&stack, &ada, next_turn("the-chat", number)).await.unwrap();
        finish(&stack, &begun, &format!("reply {number}")).await.unwrap();
    }
    let place = Placement::Regenerate { question: message_id("question-2") };
    let mut again = new_turn("the-chat", place, "answer-2b");
    again.question = Question::parse(["the text that a client sends does not count"], 100).unwrap();
    let begun = begin(&stack, &ada, again).await.unwrap();
    assert_eq!(begun.question.as_str(), "question of answer-02");
    assert_eq!(texts(&begun), ["question of answer-01", "reply 1"]);
    let siblings = "select count(*) from messages where parent_id = 'question-2'";
    stack.until_count(2, siblings).await;
    finish(&stack, &begun, "another reply").await.unwrap();

    let unknown = new_turn(
        "the-chat",
        Placement::Regenerate { question: message_id("question-9") },
        "answer-9b",
    );
    assert!(matches!(begin(&stack, &ada, unknown).await, Err(BeginTurnError::MessageNotFound)));
    let of_an_answer = new_turn(
        "the-chat",
        Placement::Regenerate { question: message_id("answer-01") },
        "answer-9c",
    );
    assert!(matches!(
        begin(&stack, &ada, of_an_answer).await,
        Err(BeginTurnError::MessageNotFound)
    ));
}

#[tokio::test]
async fn an_edited_question_keeps_its_id_and_the_old_one_is_displaced() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    for number in 1..=2 {
        let begun = begin(&stack, &ada, next_turn("the-chat", number)).await.unwrap();
        finish(&stack, &begun, &format!("reply {number}")).await.unwrap();
    }
    let place = Placement::Edit {
        question: message_id("question-2"),
        displaced_id: message_id("stepped-aside"),
    };
    let begun = begin(&stack, &ada, new_turn("the-chat", place, "answer-2b")).await.unwrap();
    assert_eq!(texts(&begun), ["question of answer-01", "reply 1"]);
    let rows = stack
        .owner()
        .await
        .query("select id, parent_id from messages order by id", &[])
        .await
        .unwrap();
    let tree: Vec<(String, Option<String>)> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let edge = |child: &str, parent: Option<&str>| (child.to_owned(), parent.map(str::to_owned));
    assert_eq!(
        tree,
        [
            edge("answer-01", Some("question-1")),
            edge("answer-02", Some("stepped-aside")),
            edge("answer-2b", Some("question-2")),
            edge("question-1", None),
            edge("question-2", Some("answer-01")),
            edge("stepped-aside", Some("answer-01")),
        ]
    );
    finish(&stack, &begun, "another reply").await.unwrap();
    let unknown = Placement::Edit {
        question: message_id("question-9"),
        displaced_id: message_id("stepped-aside-2"),
    };
    assert!(matches!(
        begin(&stack, &ada, new_turn("the-chat", unknown, "answer-9b")).await,
        Err(BeginTurnError::MessageNotFound)
    ));
}

#[tokio::test]
async fn a_withdrawn_turn_leaves_nothing_behind() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let everything = "select coalesce(string_agg(m.id || coalesce(parent_id, '') || role, ',' order by m.id), '') || (select coalesce(max(head_id), '') from chats) from messages m";
    let owner = stack.owner().await;
    let snapshot = async || owner.query_one(everything, &[]).await.unwrap().get::<_, String>(0);

    let begun = begin(&stack, &ada, next_turn("the-chat", 9)).await.unwrap();
    stack.database().withdraw_turn(&begun, "too_many_turns", stack.clock.now()).await.unwrap();
    assert_eq!(snapshot().await, "");
    stack.until_count(0, "select count(*) from chats").await;

    for number in 1..=2 {
        let begun = begin(&stack, &ada, next_turn("the-chat", number)).await.unwrap();
        finish(&stack, &begun, "reply").await.unwrap();
    }
    let before = snapshot().await;
    for (answer, place) in [
        ("answer-03", Placement::Append { question: message_id("question-3") }),
        ("answer-04", Placement::Regenerate { question: message_id("question-2") }),
        (
            "answer-05",
            Placement::Edit {
                question: message_id("question-2"),
                displaced_id: message_id("stepped-aside"),
            },
        ),
    ] {
        let begun = begin(&stack, &ada, new_turn("the-chat", place, answer)).await.unwrap();
        stack.database().withdraw_turn(&begun, "too_many_turns", stack.clock.now()).await.unwrap();
        assert_eq!(snapshot().await, before);
    }
}

#[tokio::test]
async fn a_withdrawn_turn_with_a_later_turn_below_it_stays_as_failed() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let first = begin(&stack, &ada, next_turn("the-chat", 1)).await.unwrap();
    // So late that the first counts as orphaned.
    stack.clock.advance(ORPHANED_AFTER);
    let second = begin(&stack, &ada, next_turn("the-chat", 2)).await.unwrap();
    stack.database().withdraw_turn(&first, "too_many_turns", stack.clock.now()).await.unwrap();
    stack.until_count(4, "select count(*) from messages").await;
    let failed =
        "select count(*) from messages where id = 'answer-01' and error_code = 'too_many_turns'";
    stack.until_count(1, failed).await;
    finish(&stack, &second, "reply").await.unwrap();
}

#[tokio::test]
async fn finishing_a_turn_is_idempotent() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, next_turn("the-chat", 1)).await.unwrap();
    finish(&stack, &begun, "reply").await.unwrap();
    // Idempotent retry: the acknowledgement was lost.
    finish(&stack, &begun, "reply").await.unwrap();
    stack.clock.advance(Duration::from_secs(1));
    assert!(matches!(finish(&stack, &begun, "another").await, Err(FinishTurnError::AnswerNotOpen)));
}

#[tokio::test]
async fn a_revoked_expired_or_idle_session_is_refused() {
    let stack = TestStack::start().await;
    let database = stack.database();
    let now = || stack.clock.clock().now();
    let ended = |result: Result<_, StoreError>| matches!(result, Err(StoreError::SessionEnded));

    let logged_out = stack.session("ada@example.com").await;
    let other = stack.session("ada@example.com").await;
    database.request(&logged_out, now()).log_out().await.unwrap();
    assert!(ended(database.request(&logged_out, now()).user().await));
    let begun = begin(&stack, &logged_out, next_turn("the-chat", 1)).await;
    assert!(matches!(begun, Err(BeginTurnError::Store(StoreError::SessionEnded))), "{begun:?}");
    assert!(database.request(&other, now()).user().await.is_ok());

    // Used every day, it expires after thirty days.
    for _ in 0..29 {
        stack.clock.advance(Duration::from_hours(24));
        assert!(database.request(&other, now()).user().await.is_ok());
    }
    stack.clock.advance(Duration::from_hours(24));
    assert!(ended(database.request(&other, now()).user().await));

    // Idle, it ends after seven.
    let idle = stack.session("ada@example.com").await;
    stack.clock.advance(Duration::from_hours(7 * 24));
    assert!(ended(database.request(&idle, now()).user().await));
}

#[tokio::test]
async fn a_dead_connection_is_replaced_and_the_transaction_retried() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let database = stack.database();
    let now = stack.clock.clock().now();
    assert!(database.request(&ada, now).user().await.is_ok());
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    stack.owner().await.query(cut, &[]).await.unwrap();
    assert!(database.request(&ada, now).user().await.is_ok());
}
