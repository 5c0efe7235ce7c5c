//! What happens in a world, drawn from its seed.

use std::time::Duration;

use fake_cashfree::{Attempt, Call, Trouble, When};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Chooses one of a list, the newest more often than others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick(usize);

impl Pick {
    pub(crate) fn of<T>(self, list: &[T]) -> Option<&T> {
        list.iter().rev().nth(self.0.checked_rem(list.len())?)
    }
}

/// What a buyer does, or what happens to their orders.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Orders a plan, perhaps as a retry of the last request.
    Order { plan: &'static str, is_retry: bool },
    /// Asks for an order, as the return page does.
    Poll { order: Pick },
    /// Makes an attempt at the provider, which may report it with a wrong amount or currency.
    Pay { order: Pick, attempt: Attempt, is_wrong: bool },
    /// Pays all orders that can be paid.
    PayAll,
    /// The provider completes a payment that was pending.
    Settle { payment: Pick },
    /// The provider expires an order early.
    Expire { order: Pick },
    /// The provider delivers a webhook: for the first time or again, in any order, with an old or a new signature.
    Deliver { order: Pick, delivery: Pick, is_resigned: bool },
    /// The provider delivers all webhooks of the buyer's orders at once, signed anew.
    DeliverAll,
}

/// An act, and after how many steps its process is killed.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) act: Act,
    pub(crate) killed_after: Option<usize>,
}

/// What happens at one time.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The time that passes before it.
    pub(crate) passes: Duration,
    pub(crate) away: Away,
    /// After how many steps all connections to Postgres break.
    pub(crate) breaks_after: Option<usize>,
    /// The next so many calls of a kind fail.
    pub(crate) troubles: Vec<(Call, usize, Trouble)>,
    /// Which table of prices is deployed.
    pub(crate) prices: usize,
    /// Runs of the sweep at once, and after how many steps each is killed.
    pub(crate) sweeps: Vec<Option<usize>>,
    /// What each buyer does at once.
    pub(crate) deeds: Vec<Vec<Deed>>,
}

/// What is unavailable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away {
    pub(crate) postgres: bool,
    pub(crate) inbox: bool,
    pub(crate) cache: bool,
}

/// The moments of a world. At most the sixth of a week passes before each, so that all is over while unpaid orders are
/// still asked about.
const MOMENTS: usize = 8;

pub(crate) fn history(seed: u64, buyers: usize) -> Vec<Moment> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    prop::collection::vec(moment(buyers), MOMENTS).new_tree(&mut runner).unwrap().current()
}

fn moment(buyers: usize) -> impl Strategy<Value = Moment> {
    let passes = prop_oneof![
        6 => Just(Duration::from_secs(4)),
        3 => Just(Duration::from_mins(1)),
        3 => Just(Duration::from_mins(6)),
        2 => Just(Duration::from_mins(11)),
        2 => Just(Duration::from_mins(31)),
        1 => Just(Duration::from_hours(3)),
        1 => Just(Duration::from_hours(20)),
    ];
    let away = (rarely(), rarely(), rarely());
    let away = away.prop_map(|(postgres, inbox, cache)| Away { postgres, inbox, cache });
    let breaks_after = prop::option::weighted(0.15, 0..30_usize);
    let sweeps = prop::collection::vec(killed_after(400), 0..3);
    let deeds = prop::collection::vec(prop::collection::vec(deed(), 0..5), buyers);
    (passes, away, breaks_after, troubles(), 0..2_usize, sweeps, deeds).prop_map(
        |(passes, away, breaks_after, troubles, prices, sweeps, deeds)| Moment {
            passes,
            away,
            breaks_after,
            troubles,
            prices,
            sweeps,
            deeds,
        },
    )
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn troubles() -> impl Strategy<Value = Vec<(Call, usize, Trouble)>> {
    let call = prop::sample::select(vec![
        Call::CreateOrder,
        Call::GetOrder,
        Call::TerminateOrder,
        Call::GetPayments,
    ]);
    let trouble = prop::sample::select(vec![
        Trouble::Closed(When::Before),
        Trouble::Closed(When::After),
        Trouble::InternalError(When::Before),
        Trouble::InternalError(When::After),
        Trouble::BadGateway(When::Before),
        Trouble::BadGateway(When::After),
        Trouble::RateLimited,
    ]);
    let any = prop_oneof![
        5 => (call, trouble),
        1 => Just((Call::GetPayments, Trouble::NoPayments)),
    ];
    let times = (any, 1..8_usize).prop_map(|((call, trouble), times)| (call, times, trouble));
    prop::collection::vec(times, 0..4)
}

fn deed() -> impl Strategy<Value = Deed> {
    let act = prop_oneof![
        7 => (prop::sample::select(vec!["premium", "gold"]), prop::bool::weighted(0.3))
            .prop_map(|(plan, is_retry)| Act::Order { plan, is_retry }),
        3 => pick().prop_map(|order| Act::Poll { order }),
        8 => (pick(), attempt()).prop_map(|(order, attempt)| Act::Pay { order, attempt, is_wrong: false }),
        1 => (pick(), wrong_attempt())
            .prop_map(|(order, attempt)| Act::Pay { order, attempt, is_wrong: true }),
        3 => Just(Act::PayAll),
        2 => pick().prop_map(|payment| Act::Settle { payment }),
        1 => pick().prop_map(|order| Act::Expire { order }),
        3 => Just(Act::DeliverAll),
        5 => (pick(), pick(), any::<bool>())
            .prop_map(|(order, delivery, is_resigned)| Act::Deliver { order, delivery, is_resigned }),
    ];
    (act, killed_after(40)).prop_map(|(act, killed_after)| Deed { act, killed_after })
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![Just(0), any::<usize>()].prop_map(Pick)
}

fn killed_after(most: usize) -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.15, 0..most)
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![
        6 => Just(Attempt::success()),
        4 => Just(Attempt::success().began_earlier()),
        2 => Just(Attempt::failure()),
        1 => Just(Attempt::user_dropped()),
        2 => Just(Attempt::pending()),
        1 => Just(Attempt::pending().began_earlier()),
        1 => Just(Attempt::late_authorisation()),
        1 => Just(Attempt::success().offer("400")),
    ]
}

fn wrong_attempt() -> impl Strategy<Value = Attempt> {
    prop::sample::select(vec![
        Attempt::success().order_amount("1"),
        Attempt::success().order_amount("449.995"),
        Attempt::success().order_currency("USD"),
    ])
}
