//! Orphaned turns.

use std::fmt::Write;
use std::time::Duration;

use local_stack::free_port;
use shared_cache::{Batch, Cache, CacheConfig, LiveLog};
use shared_core::chat::ORPHANED_AFTER;
use shared_core::clock::Clock;
use shared_core::env::Env;
use shared_core::identity::Session;
use sweep::{Deps, sweep};
use testkit::{TestStack, message_id};

use crate::setup::{A, AMPLE, begun, count, deps, killed, said, stack, swept, vault, with_clock};

/// Begins turns that are never finished, each in a chat of its own.
pub(crate) async fn begin(stack: &TestStack, session: &Session, numbers: std::ops::Range<usize>) {
    for number in numbers {
        begun(stack, session, number).await;
    }
}

/// Ada has begun `turns` turns, each for a credit of her 1,000, and they are orphaned.
async fn orphaned(turns: usize) -> TestStack {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    stack.premium(&ada).await;
    stack.owner().await.execute("update entitlements set credits = 1000", &[]).await.unwrap();
    begin(&stack, &ada, 0..turns).await;
    stack.clock.advance(ORPHANED_AFTER + Duration::from_millis(1));
    stack
}

const OPEN: &str = "select count(*) from turns where state = 'open'";
const BALANCE: &str = "select balance::bigint from allowances";
const GIVEN_BACK: &str = "select count(*) from credit_ledger where kind = 'release' and amount = 1";

/// The live log of the turn with this number.
fn log(stack: &TestStack, session: &Session, number: usize) -> LiveLog {
    stack.cache().live_log(session.user, &message_id(&format!("answer-{number:02}")))
}

/// The frames of a turn, up to these words.
fn frames(words: &[&str]) -> String {
    let mut frames = "id: 1\ndata: {\"type\":\"start\",\"messageId\":\"answer-00\",\"messageMetadata\":{\"model\":\"fake/echo\"}}\n\n\
        id: 2\ndata: {\"type\":\"start-step\"}\n\n".to_owned();
    if !words.is_empty() {
        frames += "id: 3\ndata: {\"type\":\"text-start\",\"id\":\"0\"}\n\n";
    }
    for (word, id) in words.iter().zip(4..) {
        let _ = write!(
            frames,
            "id: {id}\ndata: {{\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"{word}\"}}\n\n"
        );
    }
    frames
}

async fn append(log: &LiveLog, words: &[&str]) {
    let frames = frames(words);
    let last = u64::try_from(frames.matches("id: ").count()).unwrap();
    let batch = Batch { first: 1, last, frames: frames.as_bytes() };
    log.heartbeat(Some(batch), Some("gen-1")).await.unwrap();
}

/// Waits for longer than a turn counts as running, by the servers' clock.
async fn until_orphaned() {
    tokio::time::sleep(LiveLog::ALIVE_FOR + Duration::from_millis(100)).await;
}

const ANSWERS: &str = "
    select string_agg(concat_ws(' ', status, parts->0->>'text', generation_id), ', ' order by id)
      from messages where role = 'assistant'";
const STATES: &str = "select string_agg(state, ' ' order by answer_id) from turns";

#[tokio::test]
async fn the_text_of_an_orphaned_turn_is_kept_and_charged_and_one_without_text_is_free() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    begin(&stack, &ada, 0..5).await;
    append(&log(&stack, &ada, 0), &["Hel", "lo"]).await;
    append(&log(&stack, &ada, 1), &[]).await;
    // This one has ended, but could not be stored.
    append(&log(&stack, &ada, 2), &["all of it"]).await;
    log(&stack, &ada, 2).end(None).await.unwrap();
    append(&log(&stack, &ada, 4), &["not "]).await;
    until_orphaned().await;
    // 3 has no live log, and 4 is not orphaned.
    log(&stack, &ada, 4).heartbeat(None, None).await.unwrap();
    stack.clock.advance(ORPHANED_AFTER + Duration::from_mins(5));

    let report = swept(&stack, vault(&[A])).await;
    assert_eq!(
        (report.count("orphanedTurnsClosed").unwrap(), report.count("answersKept").unwrap()),
        (4, 2),
        "{report:?}"
    );
    assert_eq!(report.count("orphanedTurnsStuck"), Some(0));
    let answers = "interrupted Hello gen-1, interrupted gen-1, interrupted all of it gen-1, interrupted, streaming";
    assert_eq!(said(&stack, ANSWERS).await, answers);
    assert_eq!(said(&stack, STATES).await, "settled released settled released open");
    assert_eq!(count(&stack, BALANCE).await, 2, "of five");
    stack.assert_books_are_right().await;
    assert!(!swept(&stack, vault(&[A])).await.did_something());

    log(&stack, &ada, 4).end(None).await.unwrap();
    assert_eq!(swept(&stack, vault(&[A])).await.count("answersKept").unwrap(), 1);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_turn_is_not_closed_before_it_counts_as_orphaned() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    begin(&stack, &ada, 0..1).await;
    stack.clock.advance(Duration::from_millis(1));
    begin(&stack, &ada, 1..2).await;
    stack.clock.advance(ORPHANED_AFTER);

    assert_eq!(swept(&stack, vault(&[A])).await.count("orphanedTurnsClosed").unwrap(), 1);
    assert_eq!(said(&stack, STATES).await, "released open");
    stack.clock.advance(Duration::from_millis(1));
    assert_eq!(swept(&stack, vault(&[A])).await.count("orphanedTurnsClosed").unwrap(), 1);
    assert!(!swept(&stack, vault(&[A])).await.did_something());
}

/// Dependencies without a reachable cache.
pub(crate) fn cut_off(stack: &TestStack) -> Deps {
    let nowhere = format!("redis://127.0.0.1:{}", free_port().unwrap());
    let env = Env::new(|name| (name == "CACHE_URL").then(|| nowhere.clone()));
    let cache = Cache::new(&CacheConfig::from_env(&env).unwrap(), stack.clock.clock()).unwrap();
    Deps { cache, ..deps(stack, vault(&[A])) }
}

#[tokio::test]
async fn while_the_cache_is_unavailable_orphaned_turns_wait_as_long_as_a_live_log_is_kept() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    begin(&stack, &ada, 0..2).await;
    stack.clock.advance(Duration::from_mins(61));
    begin(&stack, &ada, 2..4).await;
    append(&log(&stack, &ada, 2), &["Hello"]).await;
    log(&stack, &ada, 2).end(None).await.unwrap();

    stack.clock.advance(Duration::from_mins(8));
    for passes in [0, 1] {
        stack.clock.advance(Duration::from_mins(passes));
        let error = sweep(&cut_off(&stack), AMPLE).await.unwrap_err();
        assert!(error.to_string().starts_with("orphaned turns: "), "{error}");
        assert_eq!(
            (
                error.report.count("orphanedTurnsClosed").unwrap(),
                error.report.count("orphanedTurnsStuck")
            ),
            (0, Some(2))
        );
    }
    // More than ten minutes old, or older than any live log.
    stack.clock.advance(Duration::from_secs(61));
    let error = sweep(&cut_off(&stack), AMPLE).await.unwrap_err();
    assert_eq!(
        (
            error.report.count("orphanedTurnsClosed").unwrap(),
            error.report.count("orphanedTurnsStuck")
        ),
        (2, Some(2)),
        "{error:?}"
    );
    assert_eq!(said(&stack, STATES).await, "released released open open");

    let report = swept(&stack, vault(&[A])).await;
    assert_eq!(
        (
            report.count("orphanedTurnsClosed").unwrap(),
            report.count("answersKept").unwrap(),
            report.count("orphanedTurnsStuck")
        ),
        (2, 1, Some(0))
    );
    assert_eq!(said(&stack, STATES).await, "released released settled released");
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn an_orphaned_turn_that_cannot_be_closed_does_not_block_the_others() {
    let stack = orphaned(3).await;
    let refuse = "
        create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
        create trigger refuse before update on messages for each row when (old.id = 'answer-00') execute function refuse()";
    stack.owner().await.batch_execute(refuse).await.unwrap();
    stack.clock.advance(Duration::from_mins(10));
    let error = sweep(&deps(&stack, vault(&[A])), AMPLE).await.unwrap_err();
    assert!(error.to_string().starts_with("orphaned turns: postgres: "), "{error}");
    assert_eq!(
        (
            error.report.count("orphanedTurnsClosed").unwrap(),
            error.report.count("orphanedTurnsStuck")
        ),
        (2, Some(1))
    );
    stack.owner().await.batch_execute("drop trigger refuse on messages").await.unwrap();
    assert_eq!(swept(&stack, vault(&[A])).await.count("orphanedTurnsClosed").unwrap(), 1);
}

#[tokio::test]
async fn a_run_that_is_killed_closes_no_orphaned_turn_by_half() {
    let stack = orphaned(60).await;
    for looks in [3, 8, 14, 15] {
        killed(&stack, vault(&[A]), looks).await;
        stack.assert_books_are_right().await;
    }
    let left = count(&stack, OPEN).await;
    assert!((10..58).contains(&left), "it was killed too early or too late: {left}");
    assert_eq!(
        i64::try_from(swept(&stack, vault(&[A])).await.count("orphanedTurnsClosed").unwrap())
            .unwrap(),
        left
    );
    assert_eq!(count(&stack, BALANCE).await, 1000);
}

#[tokio::test]
async fn five_hundred_orphaned_turns_take_one_run() {
    let stack = orphaned(500).await;
    assert_eq!(count(&stack, BALANCE).await, 500);
    let report = swept(&stack, vault(&[A])).await;
    assert_eq!(
        (report.count("orphanedTurnsClosed").unwrap(), report.count("answersKept").unwrap()),
        (500, 0)
    );
    assert!(!report.out_of_time);
    assert_eq!(count(&stack, BALANCE).await, 1000);
}

#[tokio::test]
async fn two_racing_runs_close_each_orphaned_turn_once() {
    let stack = orphaned(250).await;
    // The clocks of two processes hardly ever show the same time.
    let (one, clock) = (deps(&stack, vault(&[A])), stack.clock.clock());
    let other = Clock::new(move || clock.now() + Duration::from_micros(7));
    let other = with_clock(&stack, vault(&[A]), other);
    let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
    assert_eq!(
        one.unwrap().count("orphanedTurnsClosed").unwrap()
            + other.unwrap().count("orphanedTurnsClosed").unwrap(),
        250
    );
    assert_eq!(count(&stack, GIVEN_BACK).await, 250);
    assert_eq!(count(&stack, BALANCE).await, 1000);
}

/// Two users who have both a paid period and the day's credits.
async fn two_who_pay() -> TestStack {
    let stack = stack().await;
    for (email, turns) in [("ada@example.com", 0..2), ("eve@example.com", 2..4)] {
        let user = stack.session(email).await;
        // The first is paid by the day, the second by the period.
        begin(&stack, &user, turns.start..turns.start + 1).await;
        stack.premium(&user).await;
        begin(&stack, &user, turns.start + 1..turns.end).await;
    }
    stack.clock.advance(ORPHANED_AFTER + Duration::from_millis(1));
    assert_eq!(swept(&stack, vault(&[A])).await.count("orphanedTurnsClosed").unwrap(), 4);
    assert_eq!(count(&stack, "select count(*) from allowances").await, 4);
    stack
}

/// Inserts fifty more orphaned turns per allowance, in no order. No credits are reserved for them: each
/// release shows in the balance.
async fn orphan_in_any_order(stack: &TestStack, round: i64) {
    let sql = "insert into turns (answer_id, user_id, chat_id, model, paid_by, plan, starts_at, credits, state,
                                  began_at)
               select answer, user_id, 'chat-0001', 'fake/echo', 'credits', plan, starts_at, 1, 'open',
                      $2::timestamptz - abs(hashtext(answer) % 1000) * interval '1 ms'
                 from allowances, generate_series(1, 50) n, concat_ws('-', user_id, plan, $1::text, n) answer";
    let began_by = stack.clock.now() - ORPHANED_AFTER - Duration::from_millis(1);
    let orphaned =
        stack.owner().await.execute(sql, &[&round.to_string(), &began_by]).await.unwrap();
    assert_eq!(orphaned, 200);
}

/// Each releases credits of all four allowances, and neither waits for a row that the other has locked.
#[tokio::test]
async fn two_racing_runs_do_not_deadlock() {
    const ROUNDS: i64 = 10;
    let stack = two_who_pay().await;
    let (one, other) = (deps(&stack, vault(&[A])), deps(&stack, vault(&[A])));
    for round in 0..ROUNDS {
        // The last run has looked at all turns that began before.
        stack.clock.advance(Duration::from_secs(2));
        orphan_in_any_order(&stack, round).await;
        let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
        // A turn whose chat is gone may be counted by both runs: neither knows which one closed it.
        let ended = one.unwrap().count("orphanedTurnsClosed").unwrap()
            + other.unwrap().count("orphanedTurnsClosed").unwrap();
        assert!((200..=400).contains(&ended), "round {round}: {ended}");
        assert_eq!(count(&stack, OPEN).await, 0, "round {round}");
    }
    let balances =
        format!("select count(*) from allowances where balance = granted + 50 * {ROUNDS}");
    assert_eq!(count(&stack, &balances).await, 4);
}
