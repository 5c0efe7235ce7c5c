//! Property test: in whatever order, and however concurrently, turns begin and end or are orphaned, no credit is lost
//! and none is spent twice.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared_core::chat::{Answer, NewTurn, ORPHANED_AFTER, Outcome};
use shared_core::identity::Session;
use shared_core::models::{ModelPricing, Tier};
use shared_postgres::{
    BeginTurnError, BegunTurn, Database, DatabaseConfig, Jobs, StoreResult, TurnEnd,
};
use testkit::{TestStack, answer_of, next_turn};

/// An event of one turn, or a sweep.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin {
        premium: bool,
    },
    Finish {
        has_text: bool,
    },
    FinishTwice {
        has_text: bool,
    },
    Withdraw,
    /// Its process is killed: the turn is orphaned.
    Orphan,
    /// Race: it is closed as orphaned while it ends after all.
    Interrupt {
        has_text: bool,
    },
    /// The database was unavailable when it ended; it is stored later, by two concurrent jobs.
    StoreLater {
        has_text: bool,
    },
    Sweep,
}

/// Concurrent steps, and the time that passes before them.
#[derive(Clone, Debug)]
struct Moment {
    passes: Duration,
    steps: Vec<Step>,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let step = prop_oneof![
        5 => any::<bool>().prop_map(|premium| Step::Begin { premium }),
        2 => any::<bool>().prop_map(|has_text| Step::Finish { has_text }),
        1 => any::<bool>().prop_map(|has_text| Step::FinishTwice { has_text }),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Orphan),
        1 => any::<bool>().prop_map(|has_text| Step::Interrupt { has_text }),
        1 => any::<bool>().prop_map(|has_text| Step::StoreLater { has_text }),
        1 => Just(Step::Sweep),
    ];
    let passes = prop_oneof![
        4 => Just(Duration::from_secs(1)),
        1 => Just(ORPHANED_AFTER),
        1 => Just(Duration::from_hours(7)),
    ];
    let moment = (passes, prop::collection::vec(step, 1..10))
        .prop_map(|(passes, steps)| Moment { passes, steps });
    prop::collection::vec(moment, 1..12)
}

/// The system under test, with one user.
struct World {
    stack: TestStack,
    database: Database,
    jobs: Jobs,
    session: Session,
    turns: AtomicUsize,
}

impl World {
    async fn new() -> Self {
        let stack = TestStack::start().await;
        let session = stack.session("ada@example.com").await;
        stack.premium(&session).await;
        let few = "update entitlements set credits = 7";
        stack.owner().await.execute(few, &[]).await.unwrap();
        let jobs = DatabaseConfig::at(&stack.owner_url());
        let jobs = Jobs::new(&jobs, stack.clock.clock()).unwrap();
        Self { database: stack.database(), jobs, session, turns: AtomicUsize::new(0), stack }
    }

    async fn live(&self, moments: Vec<Moment>) {
        let mut open = Vec::new();
        for Moment { passes, steps } in moments {
            self.stack.clock.advance(passes);
            let at_once = steps.into_iter().map(|step| {
                let turn = match step {
                    Step::Begin { .. } | Step::Sweep => None,
                    Step::Finish { .. }
                    | Step::FinishTwice { .. }
                    | Step::Interrupt { .. }
                    | Step::StoreLater { .. }
                    | Step::Withdraw
                    | Step::Orphan => open.pop(),
                };
                self.step(step, turn)
            });
            let at_once: Vec<_> = at_once.collect();
            open.extend(join_all(at_once).await.into_iter().flatten());
            self.stack.assert_books_are_right().await;
        }
        self.stack.clock.advance(ORPHANED_AFTER + Duration::from_secs(1));
        self.sweep().await;
        assert_eq!(self.sweep().await, 0);
        self.stack.assert_books_are_right().await;
        self.stack.until_count(0, "select count(*) from turns where state = 'open'").await;
        self.stack.until_count(0, "select count(*) from messages where status = 'streaming'").await;
    }

    async fn step(&self, step: Step, turn: Option<BegunTurn>) -> Option<BegunTurn> {
        match (step, turn) {
            (Step::Begin { premium }, _) => return self.begin(premium).await,
            (Step::Sweep, _) => _ = self.sweep().await,
            (Step::Finish { has_text }, Some(turn)) => self.finish(&turn, has_text).await,
            (Step::FinishTwice { has_text }, Some(turn)) => {
                tokio::join!(self.finish(&turn, has_text), self.finish(&turn, has_text));
            }
            (Step::Withdraw, Some(turn)) => {
                let now = self.stack.clock.now();
                self.database.withdraw_turn(&turn, "unavailable", now).await.unwrap();
            }
            (Step::Interrupt { has_text }, Some(turn)) => {
                let (partial, now) = (answer_of("hel"), self.stack.clock.now());
                let interrupt =
                    self.database.interrupt_turn(turn.user, &turn.answer, &partial, now);
                let (interrupted, ()) = tokio::join!(interrupt, self.finish(&turn, has_text));
                interrupted.unwrap();
            }
            (Step::StoreLater { has_text }, Some(turn)) => {
                let answer = if has_text { answer_of("hello") } else { Answer::default() };
                let turn = turn.finished(&answer, &Outcome::Stopped, self.stack.clock.now());
                let (one, other) =
                    tokio::join!(self.jobs.store_finished(&turn), self.jobs.store_finished(&turn));
                let stored = [one.unwrap(), other.unwrap()];
                assert!(
                    stored.contains(&StoreResult::Stored)
                        && stored.contains(&StoreResult::Duplicate)
                );
            }
            (Step::Orphan, _) | (_, None) => {}
        }
        None
    }

    async fn begin(&self, premium: bool) -> Option<BegunTurn> {
        let number = self.turns.fetch_add(1, Ordering::Relaxed);
        let pricing = if premium {
            ModelPricing { tier: Tier::Premium, credits: 3 }
        } else {
            ModelPricing { tier: Tier::Free, credits: 1 }
        };
        // Every other turn is in the one chat, the rest have a chat each.
        let chat = if number.is_multiple_of(2) {
            "the-chat".to_owned()
        } else {
            format!("chat-{number:04}")
        };
        let turn = NewTurn { pricing, ..next_turn(&chat, number) };
        let request = self.database.request(&self.session, self.stack.clock.now());
        match request.begin_turn(&turn, &self.stack.plans(), None).await {
            Ok(begun) => Some(begun),
            Err(BeginTurnError::PaymentDenied(_) | BeginTurnError::Running(_)) => None,
            Err(other) => unreachable!("{other}"),
        }
    }

    /// Succeeds even if the turn was closed as orphaned meanwhile.
    async fn finish(&self, turn: &BegunTurn, has_text: bool) {
        let answer = if has_text { answer_of("hello") } else { Answer::default() };
        let end =
            TurnEnd { answer: &answer, outcome: &Outcome::Complete, at: self.stack.clock.now() };
        self.database.finish_turn(turn, end).await.unwrap();
    }

    async fn sweep(&self) -> usize {
        let now = self.stack.clock.now();
        let orphaned = self.jobs.orphaned_turns(now - ORPHANED_AFTER, None, 1000).await.unwrap();
        for turn in &orphaned {
            self.jobs.interrupt(turn, &Answer::default(), now).await.unwrap();
        }
        orphaned.len()
    }
}

#[test]
fn in_any_order_of_concurrent_turns_no_credit_is_lost_or_spent_twice() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config =
        Config { cases: 16, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    let property = |moments: Vec<Moment>| {
        runtime.block_on(async { World::new().await.live(moments).await });
        Ok(())
    };
    TestRunner::new(config).run(&moments(), property).unwrap();
}
