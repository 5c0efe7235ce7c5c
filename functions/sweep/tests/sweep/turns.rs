//! Turns that died.

use std::time::Duration;

use shared_core::credits::TURN_DIES_AFTER;
use shared_core::session::Session;
use sweep::sweep;
use testkit::{TestStack, next_turn};

use crate::setup::{A, AMPLE, count, deps, stack, swept, vault};

/// Turns that nobody ends, each in a chat of its own.
pub(crate) async fn begin(stack: &TestStack, session: &Session, numbers: std::ops::Range<usize>) {
    let (database, plans) = (stack.database(), stack.plans());
    for number in numbers {
        let turn = next_turn(&format!("chat-{number:04}"), number);
        database.request(session, stack.clock.now()).begin_turn(&turn, &plans).await.unwrap();
    }
}

/// Ada has begun `turns` turns, each for a credit of her 1,000, and they have died.
async fn deaths(turns: usize) -> TestStack {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    stack.premium(&ada).await;
    stack.owner().await.execute("update entitlements set credits = 1000", &[]).await.unwrap();
    begin(&stack, &ada, 0..turns).await;
    stack.clock.advance(TURN_DIES_AFTER + Duration::from_millis(1));
    stack
}

const BALANCE: &str = "select balance::bigint from allowances";
const GIVEN_BACK: &str = "select count(*) from credit_ledger where kind = 'release' and amount = 1";

#[tokio::test]
async fn dead_turns_are_ended_and_living_ones_are_not() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    begin(&stack, &ada, 0..1).await;
    stack.clock.advance(Duration::from_millis(1));
    begin(&stack, &ada, 1..2).await;
    stack.clock.advance(TURN_DIES_AFTER);

    let report = swept(&stack, vault(&[A])).await;
    assert_eq!((report.turns_ended, report.credits_given_back), (1, 1));
    let states = "select string_agg(state, ' ' order by answer_id) from turns";
    let states: String = stack.owner().await.query_one(states, &[]).await.unwrap().get(0);
    assert_eq!(states, "released open");
    assert_eq!(count(&stack, BALANCE).await, 4, "of five, the living one has taken one");

    stack.clock.advance(Duration::from_millis(1));
    assert_eq!(swept(&stack, vault(&[A])).await.turns_ended, 1);
    assert!(!swept(&stack, vault(&[A])).await.did_something());
}

#[tokio::test]
async fn five_hundred_dead_turns_take_one_run() {
    let stack = deaths(500).await;
    assert_eq!(count(&stack, BALANCE).await, 500);
    let report = swept(&stack, vault(&[A])).await;
    assert_eq!((report.turns_ended, report.credits_given_back), (500, 500));
    assert!(!report.out_of_time);
    assert_eq!(count(&stack, BALANCE).await, 1000);
}

#[tokio::test]
async fn two_runs_at_once_end_each_turn_once() {
    let stack = deaths(250).await;
    let (one, other) = (deps(&stack, vault(&[A])), deps(&stack, vault(&[A])));
    let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
    assert_eq!(one.unwrap().turns_ended + other.unwrap().turns_ended, 250);
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
    stack.clock.advance(TURN_DIES_AFTER + Duration::from_millis(1));
    assert_eq!(swept(&stack, vault(&[A])).await.turns_ended, 4);
    assert_eq!(count(&stack, "select count(*) from allowances").await, 4);
    stack
}

/// Fifty more dead turns of each allowance, in no order. Nothing was taken for them: each that is ended
/// shows in the balance.
async fn die_in_any_order(stack: &TestStack, round: i64) {
    let sql = "insert into turns (answer_id, user_id, chat_id, model, paid_by, plan, starts_at, credits, state,
                                  began_at)
               select answer, user_id, 'chat-0001', 'fake/echo', 'credits', plan, starts_at, 1, 'open',
                      $2::timestamptz - abs(hashtext(answer) % 1000) * interval '1 ms'
                 from allowances, generate_series(1, 50) n, concat_ws('-', user_id, plan, $1::text, n) answer";
    let began_by = stack.clock.now() - TURN_DIES_AFTER - Duration::from_millis(1);
    let dead = stack.owner().await.execute(sql, &[&round.to_string(), &began_by]).await.unwrap();
    assert_eq!(dead, 200);
}

/// Each gives back to all four allowances, and neither waits for one that the other holds.
#[tokio::test]
async fn two_runs_at_once_do_not_wait_for_each_other_in_a_circle() {
    const ROUNDS: i64 = 10;
    let stack = two_who_pay().await;
    let (one, other) = (deps(&stack, vault(&[A])), deps(&stack, vault(&[A])));
    for round in 0..ROUNDS {
        die_in_any_order(&stack, round).await;
        let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
        assert_eq!(one.unwrap().turns_ended + other.unwrap().turns_ended, 200, "round {round}");
    }
    let balances =
        format!("select count(*) from allowances where balance = granted + 50 * {ROUNDS}");
    assert_eq!(count(&stack, &balances).await, 4);
}
