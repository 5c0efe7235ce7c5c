//! Finishing turns: each ends once, and its true end replaces an interrupted one.

use std::time::Duration;

use futures_util::future::join_all;
use shared_core::chat::{Answer, ORPHANED_AFTER, Outcome};
use shared_postgres::{BegunTurn, FinishTurnError, StoreResult};
use testkit::{TestStack, answer_of, next_turn};

use crate::setup::{begin, count, cut_off, finish, jobs, overview, stack};

/// Closes a turn as orphaned, from another process.
async fn interrupt(stack: &TestStack, turn: &BegunTurn, partial: &Answer) -> bool {
    stack.clock.advance(Duration::from_secs(1));
    let (database, now) = (stack.database(), stack.clock.now());
    database.interrupt_turn(turn.user, &turn.answer, partial, now).await.unwrap()
}

#[tokio::test]
async fn an_interrupted_answer_is_replaced_by_its_true_end_and_by_nothing_else() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let failed = Outcome::Failed { code: "model_failed".into(), refused_key: false };
    for (number, (outcome, status)) in
        [(Outcome::Complete, "complete"), (Outcome::Stopped, "stopped"), (failed, "failed")]
            .into_iter()
            .enumerate()
    {
        let turn = next_turn("the-chat", number);
        let begun = begin(&stack, &ada, &turn).await.unwrap();
        let answer = turn.answer.as_str();
        assert!(interrupt(&stack, &begun, &cut_off("hel")).await);
        assert_eq!(overview(&stack, answer).await, r#"interrupted "hel" settled"#);
        assert!(!interrupt(&stack, &begun, &cut_off("hel")).await, "it is closed already");

        finish(&stack, &begun, &answer_of("hello"), &outcome).await.unwrap();
        let ended = format!(r#"{status} "hello" settled 7"#);
        assert_eq!(overview(&stack, answer).await, ended);

        assert!(!interrupt(&stack, &begun, &cut_off("h")).await);
        for late in [&Outcome::Interrupted, &Outcome::Complete, &Outcome::Stopped] {
            let late = finish(&stack, &begun, &answer_of("later"), late).await;
            assert!(matches!(late, Err(FinishTurnError::AnswerNotOpen)), "{late:?}");
        }
        assert_eq!(overview(&stack, answer).await, ended);
    }
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 2);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn of_two_interrupted_answers_the_longer_one_is_kept() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let jobs = jobs(&stack);
    for (number, (partial, whole)) in [("hel", "hello"), ("", "hello")].into_iter().enumerate() {
        let turn = next_turn("the-chat", number);
        let begun = begin(&stack, &ada, &turn).await.unwrap();
        let late = begun.finished(&cut_off(whole), &Outcome::Interrupted, stack.clock.now());
        let interrupted = if partial.is_empty() { Answer::default() } else { cut_off(partial) };
        assert!(interrupt(&stack, &begun, &interrupted).await);
        assert_eq!(jobs.store_finished(&late).await.unwrap(), StoreResult::Stored);
        assert_eq!(jobs.store_finished(&late).await.unwrap(), StoreResult::Duplicate);
        let ended = overview(&stack, turn.answer.as_str()).await;
        assert!(ended.starts_with(r#"interrupted "hello""#), "{ended}");

        for shorter in ["hell", "", "HELLO"] {
            assert!(!interrupt(&stack, &begun, &cut_off(shorter)).await, "{shorter}");
        }
        assert_eq!(overview(&stack, turn.answer.as_str()).await, ended);
        finish(&stack, &begun, &answer_of("h"), &Outcome::Complete).await.unwrap();
        let ended = overview(&stack, turn.answer.as_str()).await;
        assert!(ended.starts_with(r#"complete "h""#), "{ended}");
    }
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 4);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn the_end_of_a_deleted_answer_is_distinguished_from_a_late_one() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let begun = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    for deleted in ["chats", "chats", "users"] {
        stack.owner().await.execute(&format!("delete from {deleted}"), &[]).await.unwrap();
        let gone = finish(&stack, &begun, &answer_of("hello"), &Outcome::Complete).await;
        assert!(matches!(gone, Err(FinishTurnError::AnswerGone)), "{gone:?}");
        if deleted == "chats" {
            assert_eq!(overview(&stack, "answer-01").await, "settled 7");
            stack.assert_books_are_right().await;
        }
    }
}

#[tokio::test]
async fn a_settled_or_released_payment_stays_so_when_the_true_end_is_stored() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let empty = begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    assert!(interrupt(&stack, &empty, &Answer::default()).await);
    assert_eq!(overview(&stack, "answer-01").await, "interrupted released");
    finish(&stack, &empty, &answer_of("hello"), &Outcome::Complete).await.unwrap();
    assert_eq!(overview(&stack, "answer-01").await, r#"complete "hello" released 7"#);

    let partial = begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    assert!(interrupt(&stack, &partial, &cut_off("hel")).await);
    finish(&stack, &partial, &Answer::default(), &Outcome::Stopped).await.unwrap();
    assert_eq!(overview(&stack, "answer-02").await, "stopped settled");
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 4);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn racing_ends_of_one_turn_store_its_true_end_once() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let (jobs, functions) = (&jobs(&stack), [stack.database(), stack.database()]);
    for number in 0..5 {
        let turn = next_turn("the-chat", number);
        let begun = &begin(&stack, &ada, &turn).await.unwrap();
        let (partial, whole) = (cut_off("hel"), answer_of("hello"));
        let (outcome, now) = (Outcome::Complete, stack.clock.now());
        let late = now + Duration::from_secs(1);
        let stored = begun.finished(&whole, &outcome, now);
        let interrupts = functions.iter().map(async |database| {
            database.interrupt_turn(begun.user, &begun.answer, &partial, late).await.unwrap();
        });
        let stores = [&stored, &stored].map(async |turn| {
            jobs.store_finished(turn).await.unwrap();
        });
        tokio::join!(join_all(interrupts), join_all(stores));
        let ended = overview(&stack, turn.answer.as_str()).await;
        assert_eq!(ended, r#"complete "hello" settled 7"#);
    }
    assert_eq!(count(&stack, "select count(*) from turns where state = 'settled'").await, 5);
    assert_eq!(count(&stack, "select count(*) from credit_ledger where kind = 'release'").await, 0);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn orphaned_turns_are_found_page_by_page_and_closed() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let eve = stack.session("eve@example.com").await;
    for (number, user) in [&ada, &eve, &ada].into_iter().enumerate() {
        let turn = next_turn(&format!("chat-{number:04}"), number);
        begin(&stack, user, &turn).await.unwrap();
    }
    let owner = stack.owner().await;
    // A chat that was deleted while its turn was running.
    owner.execute("delete from chats where id = 'chat-0002'", &[]).await.unwrap();
    let ended = begin(&stack, &ada, &next_turn("chat-0003", 3)).await.unwrap();
    finish(&stack, &ended, &answer_of("reply"), &Outcome::Complete).await.unwrap();
    stack.clock.advance(ORPHANED_AFTER);
    let young = begin(&stack, &ada, &next_turn("chat-0004", 4)).await.unwrap();

    let (jobs, now) = (jobs(&stack), stack.clock.now());
    let orphaned_before = now - ORPHANED_AFTER;
    let page = jobs.orphaned_turns(orphaned_before, None, 2).await.unwrap();
    let next = jobs.orphaned_turns(orphaned_before, Some(&page[1].cursor()), 2).await.unwrap();
    let found: Vec<_> = page.iter().chain(&next).map(|turn| turn.answer.as_str()).collect();
    assert_eq!(found, ["answer-00", "answer-01", "answer-02"]);
    assert_eq!(page[1].user, eve.user);
    for (turn, partial) in page.iter().chain(&next).zip(["hello", "", ""]) {
        let partial = if partial.is_empty() { Answer::default() } else { cut_off(partial) };
        assert!(jobs.interrupt(turn, &partial, now).await.unwrap());
    }
    assert_eq!(jobs.orphaned_turns(orphaned_before, None, 10).await.unwrap(), []);
    assert!(!jobs.interrupt(&next[0], &Answer::default(), now).await.unwrap(), "it has ended");
    assert_eq!(overview(&stack, "answer-00").await, r#"interrupted "hello" settled"#);
    assert_eq!(overview(&stack, "answer-01").await, "interrupted released");
    assert_eq!(overview(&stack, "answer-02").await, "released");
    finish(&stack, &young, &answer_of("hello"), &Outcome::Complete).await.unwrap();
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn the_queries_of_the_sweep_use_an_index() {
    let stack = stack().await;
    let owner = stack.owner().await;
    owner.batch_execute("set role app_job; set enable_seqscan = off").await.unwrap();
    for (sql, index) in [
        (
            "select answer_id from turns where state = 'open' and began_at < now()
                and began_at >= (select open_since from orphan_sweep)",
            "turns_by_begin",
        ),
        ("select answer_id from missing_usage where ended_at < now()", "missing_usage_by_end"),
    ] {
        let rows = owner.query(&format!("explain {sql}"), &[]).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(plan.join("\n").contains(index), "{plan:?}");
    }
}

#[tokio::test]
async fn a_noted_sweep_skips_ended_turns_and_no_open_one() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let (jobs, began) = (jobs(&stack), stack.clock.now());
    let first = begin(&stack, &ada, &next_turn("the-chat", 0)).await.unwrap();
    let second = begin(&stack, &ada, &next_turn("other-chat", 1)).await.unwrap();
    let later = began + Duration::from_secs(400);
    finish(&stack, &first, &answer_of("hello"), &Outcome::Complete).await.unwrap();
    jobs.note_orphan_sweep(later).await.unwrap();
    let open = jobs.orphaned_turns(later, None, 10).await.unwrap();
    assert_eq!(open.iter().map(|turn| &turn.answer).collect::<Vec<_>>(), [&second.answer]);
    assert_eq!(since(&stack).await, second.began_at);

    finish(&stack, &second, &answer_of("hello"), &Outcome::Complete).await.unwrap();
    jobs.note_orphan_sweep(later).await.unwrap();
    assert_eq!(since(&stack).await, later);
    // A run that is late does not turn it back.
    jobs.note_orphan_sweep(began).await.unwrap();
    assert_eq!(since(&stack).await, later);
}

async fn since(stack: &TestStack) -> jiff::Timestamp {
    let owner = stack.owner().await;
    owner.query_one("select open_since from orphan_sweep", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_end_of_a_turn_is_a_heap_only_update() {
    let stack = stack().await;
    // It is, because no index names a column that it changes.
    let owner = stack.owner().await;
    let columns = "select string_agg(distinct a.attname, ' ')
                     from pg_index i
                     join pg_attribute a on a.attrelid = i.indrelid
                      and (a.attnum = any (i.indkey)
                           or pg_get_expr(i.indpred, i.indrelid) ~ ('\\m' || a.attname || '\\M'))
                    where i.indrelid = 'turns'::regclass";
    let columns: String = owner.query_one(columns, &[]).await.unwrap().get(0);
    assert_eq!(columns, "answer_id began_at idempotency_key user_id");
}
