//! Credits: no user spends more than their allowances, and nothing is granted or released twice.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use jiff::Timestamp;
use shared_core::billing::PaymentDenied;
use shared_core::chat::{Answer, NewTurn, ORPHANED_AFTER, Outcome};
use shared_core::identity::Session;
use shared_core::keys::KeyPolicy;
use shared_core::models::{ModelPricing, Tier};
use shared_postgres::{
    BeginTurnError, BegunTurn, Database, DatabaseConfig, FinishTurnError, Jobs, Payer, TurnEnd,
};
use testkit::{TestStack, answer_of, next_turn};
use tokio::task::JoinSet;

const DAY: Duration = Duration::from_hours(24);

/// At noon, so that no test meets an unintended midnight, when the daily allowance renews.
async fn stack() -> TestStack {
    let stack = TestStack::start().await;
    stack.clock.set("2026-03-14T12:00:00Z".parse().unwrap());
    stack
}

/// Turn `number`, in a chat of its own.
fn turn(number: usize) -> NewTurn {
    next_turn(&format!("chat-{number:04}"), number)
}

fn premium_turn(number: usize) -> NewTurn {
    NewTurn { pricing: ModelPricing { tier: Tier::Premium, credits: 3 }, ..turn(number) }
}

async fn begin(
    stack: &TestStack,
    session: &Session,
    turn: &NewTurn,
) -> Result<BegunTurn, BeginTurnError> {
    let database = stack.database();
    database.request(session, stack.clock.now()).begin_turn(turn, &stack.plans(), None).await
}

async fn finish(
    stack: &TestStack,
    begun: &BegunTurn,
    answer: &Answer,
) -> Result<(), FinishTurnError> {
    let end = TurnEnd { answer, outcome: &Outcome::Complete, at: stack.clock.now() };
    stack.database().finish_turn(begun, end).await
}

fn left(begun: &BegunTurn) -> u32 {
    match begun.payer {
        Payer::Credits { left, .. } => left,
        Payer::Byok(_) => panic!("paid by the user's own key"),
    }
}

fn denial(begun: Result<BegunTurn, BeginTurnError>) -> PaymentDenied {
    match begun {
        Err(BeginTurnError::PaymentDenied(denied)) => *denied,
        other => panic!("{other:?}"),
    }
}

fn jobs(stack: &TestStack) -> Jobs {
    Jobs::new(&DatabaseConfig::at(&stack.owner_url()), stack.clock.clock()).unwrap()
}

/// Closes orphaned turns; returns how many.
async fn sweep(stack: &TestStack) -> usize {
    let (jobs, now, mut ended) = (jobs(stack), stack.clock.now(), 0);
    for turn in jobs.orphaned_turns(now - ORPHANED_AFTER, None, 100).await.unwrap() {
        ended += usize::from(jobs.interrupt(&turn, &Answer::default(), now).await.unwrap());
    }
    ended
}

async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn of_two_hundred_concurrent_turns_five_are_paid_for() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    // A pool each, as function instances have.
    let functions: Vec<Database> = (0..4).map(|_| stack.database()).collect();
    let (plans, now) = (stack.plans(), stack.clock.now());
    let mut requests = JoinSet::new();
    for number in 0..200 {
        let (database, plans) = (functions[number % functions.len()].clone(), plans.clone());
        requests.spawn(async move {
            database.request(&ada, now).begin_turn(&turn(number), &plans, None).await.map(|_| ())
        });
    }
    let mut paid = 0;
    for result in requests.join_all().await {
        match result {
            Ok(()) => paid += 1,
            Err(BeginTurnError::PaymentDenied(denied)) => {
                assert!(matches!(*denied, PaymentDenied::CreditsExhausted { needed: 1, .. }));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(paid, 5);
    assert_eq!(count(&stack, "select count(*) from turns").await, 5);
    assert_eq!(count(&stack, "select count(*) from messages where role = 'user'").await, 5);
    assert_eq!(count(&stack, "select count(*) from chats").await, 5, "a denied turn is not stored");
    assert_eq!(count(&stack, "select count(*) from credit_ledger where kind = 'grant'").await, 1);
    assert_eq!(count(&stack, "select balance::bigint from allowances").await, 0);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_daily_allowance_is_granted_once_at_midnight_utc_and_does_not_accumulate() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    stack.clock.set("2026-03-14T23:59:59.999Z".parse().unwrap());
    for number in 0..5 {
        let begun = begin(&stack, &ada, &turn(number)).await.unwrap();
        assert_eq!(left(&begun), 4 - u32::try_from(number).unwrap());
    }
    let PaymentDenied::CreditsExhausted { allowances, .. } =
        denial(begin(&stack, &ada, &turn(5)).await)
    else {
        panic!("another denial");
    };
    let midnight: Timestamp = "2026-03-15T00:00:00Z".parse().unwrap();
    assert_eq!((allowances[0].left, allowances[0].ends_at), (0, midnight));

    stack.clock.set(midnight);
    let functions: Vec<Database> = (0..2).map(|_| stack.database()).collect();
    let (plans, mut at_once) = (stack.plans(), JoinSet::new());
    for number in 10..14 {
        let (database, plans) = (functions[number % 2].clone(), plans.clone());
        at_once.spawn(async move {
            let begun =
                database.request(&ada, midnight).begin_turn(&turn(number), &plans, None).await;
            left(&begun.unwrap())
        });
    }
    let mut lefts = at_once.join_all().await;
    lefts.sort_unstable();
    assert_eq!(lefts, [1, 2, 3, 4], "granted once, by the first of the concurrent turns");

    // Two days later: unused credits of the days between have expired.
    stack.clock.advance(DAY * 2);
    assert_eq!(left(&begin(&stack, &ada, &turn(20)).await.unwrap()), 4);
    assert_eq!(count(&stack, "select count(*) from allowances").await, 3);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn an_entitlement_pays_first_and_ends_to_the_microsecond() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    assert_eq!(
        denial(begin(&stack, &ada, &premium_turn(0)).await),
        PaymentDenied::ModelNotIncluded { plan: stack.plans().free().id.clone() }
    );
    stack.premium(&ada).await;
    let began = stack.clock.now();
    let first = begin(&stack, &ada, &premium_turn(1)).await.unwrap();
    assert_eq!((first.plan.as_str(), left(&first)), ("premium", 247));

    stack.clock.set(began + DAY * 30 - Duration::from_micros(1));
    let ada = stack.session("ada@example.com").await;
    assert_eq!(left(&begin(&stack, &ada, &premium_turn(2)).await.unwrap()), 244);
    stack.clock.advance(Duration::from_micros(1));
    let after = begin(&stack, &ada, &premium_turn(3)).await;
    assert!(matches!(denial(after), PaymentDenied::ModelNotIncluded { .. }));
    assert_eq!(left(&begin(&stack, &ada, &turn(4)).await.unwrap()), 4);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn the_daily_allowance_pays_once_the_entitlements_credits_are_exhausted() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    stack.premium(&ada).await;
    begin(&stack, &ada, &turn(0)).await.unwrap();
    stack.owner().await.execute("update allowances set balance = 2", &[]).await.unwrap();

    let PaymentDenied::CreditsExhausted { needed: 3, allowances, .. } =
        denial(begin(&stack, &ada, &premium_turn(1)).await)
    else {
        panic!("another denial");
    };
    assert_eq!(allowances.len(), 1, "the daily allowance does not pay for premium models");
    assert_eq!((allowances[0].left, allowances[0].renews), (2, false));

    let mut lefts = Vec::new();
    for number in 2..9 {
        lefts.push(left(&begin(&stack, &ada, &turn(number)).await.unwrap()));
    }
    assert_eq!(lefts, [1, 0, 4, 3, 2, 1, 0], "first the entitlement's, then the daily allowance's");
    let PaymentDenied::CreditsExhausted { allowances, .. } =
        denial(begin(&stack, &ada, &turn(9)).await)
    else {
        panic!("another denial");
    };
    let renews: Vec<_> = allowances.iter().map(|allowance| allowance.renews).collect();
    assert_eq!(renews, [false, true]);
}

#[tokio::test]
async fn an_entitlement_that_is_revoked_or_of_an_unknown_plan_grants_nothing() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    stack.premium(&ada).await;
    let owner = stack.owner().await;
    owner.execute("update entitlements set plan = 'gone'", &[]).await.unwrap();
    assert_eq!(begin(&stack, &ada, &turn(0)).await.unwrap().plan.as_str(), "free");
    let revoke = "update entitlements set plan = 'premium', revoked_at = now()";
    owner.execute(revoke, &[]).await.unwrap();
    assert_eq!(begin(&stack, &ada, &turn(1)).await.unwrap().plan.as_str(), "free");
}

#[tokio::test]
async fn an_answer_is_settled_once_and_an_empty_or_withdrawn_one_is_released_once() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let answered = begin(&stack, &ada, &turn(1)).await.unwrap();
    finish(&stack, &answered, &answer_of("hello")).await.unwrap();
    // Idempotent retry: the acknowledgement was lost.
    finish(&stack, &answered, &answer_of("hello")).await.unwrap();
    let empty = begin(&stack, &ada, &turn(2)).await.unwrap();
    finish(&stack, &empty, &Answer::default()).await.unwrap();
    finish(&stack, &empty, &Answer::default()).await.unwrap();
    let withdrawn = begin(&stack, &ada, &turn(3)).await.unwrap();
    for _ in 0..2 {
        stack.database().withdraw_turn(&withdrawn, "unavailable", stack.clock.now()).await.unwrap();
    }
    assert_eq!(left(&begin(&stack, &ada, &turn(4)).await.unwrap()), 3);

    let owner = stack.owner().await;
    let ledger =
        "select string_agg(kind || ' ' || amount, ', ' order by reference, created_at, kind)
                    from credit_ledger where reference like 'answer-%'";
    assert_eq!(
        owner.query_one(ledger, &[]).await.unwrap().get::<_, String>(0),
        "reserve -1, release 1, reserve -1, release 1, reserve -1, reserve -1"
    );
    let usage =
        "select state || ' ' || prompt_tokens || ' ' || completion_tokens || ' ' || cost_nano_usd
                  from turns where answer_id = 'answer-01'";
    assert_eq!(owner.query_one(usage, &[]).await.unwrap().get::<_, String>(0), "settled 3 2 7");
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn an_orphaned_turn_is_closed_once_by_racing_sweeps() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let mut begun = Vec::new();
    for number in 0..4 {
        begun.push(begin(&stack, &ada, &turn(number)).await.unwrap());
    }
    stack.clock.advance(ORPHANED_AFTER);
    assert_eq!(sweep(&stack).await, 0, "they may still run");
    let young = begin(&stack, &ada, &turn(9)).await.unwrap();

    stack.clock.advance(Duration::from_secs(1));
    // Race: one of them is not orphaned after all, and ends at the same moment.
    let late = answer_of("better late");
    let (first, second, finished) =
        tokio::join!(sweep(&stack), sweep(&stack), finish(&stack, &begun[0], &late));
    finished.unwrap();
    let swept = first + second;
    assert!(swept == 3 || swept == 4, "{first} {second}");
    assert_eq!(sweep(&stack).await, 0);
    // Five reserves, and a release of each turn that was swept.
    let entries = count(&stack, "select count(*) from credit_ledger where kind <> 'grant'").await;
    assert_eq!(entries, 5 + i64::try_from(swept).unwrap());
    assert_eq!(count(&stack, "select count(*) from turns where state = 'open'").await, 1);
    stack.assert_books_are_right().await;
    finish(&stack, &young, &late).await.unwrap();
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_chat_holds_as_many_turns_as_the_plan_allows() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    begin(&stack, &ada, &next_turn("the-chat", 1)).await.unwrap();
    // None of these ends; each begins so late that the one before counts as orphaned.
    stack.clock.advance(ORPHANED_AFTER);
    stack.owner().await.execute("update chats set turns = 99", &[]).await.unwrap();
    let last = begin(&stack, &ada, &next_turn("the-chat", 2)).await.unwrap();
    stack.clock.advance(ORPHANED_AFTER);
    let full = begin(&stack, &ada, &next_turn("the-chat", 3)).await;
    assert!(matches!(denial(full), PaymentDenied::ChatFull { .. }));
    // A withdrawn turn does not count.
    stack.database().withdraw_turn(&last, "unavailable", stack.clock.now()).await.unwrap();
    begin(&stack, &ada, &next_turn("the-chat", 4)).await.unwrap();
    stack.clock.advance(ORPHANED_AFTER);
    stack.premium(&ada).await;
    begin(&stack, &ada, &next_turn("the-chat", 5)).await.unwrap();
}

#[tokio::test]
async fn the_apps_roles_cannot_rewrite_the_ledger() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    begin(&stack, &ada, &turn(1)).await.unwrap();
    for role in ["app_user", "app_job"] {
        for statement in ["update credit_ledger set amount = 100", "delete from credit_ledger"] {
            let owner = stack.owner().await;
            owner.batch_execute(&format!("set role {role}")).await.unwrap();
            let error = owner.execute(statement, &[]).await.unwrap_err();
            assert!(
                error.to_string().contains("permission denied") || error.code().is_some(),
                "{error}"
            );
        }
    }
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_key_that_was_replaced_before_the_provider_refused_it_is_not_marked_as_refused() {
    let stack = stack().await;
    let ada = stack.session("ada@example.com").await;
    let marked = "select count(*) from provider_keys where refused_at is not null";
    for (replaced, expected) in [(true, 0), (false, 1)] {
        stack.byok(&ada, "sk-or-v1-0123456789", KeyPolicy::Always, None).await;
        let begun = begin(&stack, &ada, &turn(expected)).await.unwrap();
        if replaced {
            stack.byok(&ada, "sk-or-v1-9876543210", KeyPolicy::Always, None).await;
        }
        let outcome = Outcome::Failed { code: "key_refused".into(), refused_key: true };
        let end = TurnEnd { answer: &Answer::default(), outcome: &outcome, at: stack.clock.now() };
        stack.database().finish_turn(&begun, end).await.unwrap();
        assert_eq!(count(&stack, marked).await, i64::try_from(expected).unwrap());
    }
}
