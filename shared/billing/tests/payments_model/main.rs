//! Model test: whatever buyers, the payment provider, its webhooks and outages do, in any order and at once, each order
//! that the provider calls paid is fulfilled once, and nothing else gives anything.
//!
//! A case is the life of one buyer. Fifty buyers live in a world: they share a database, an inbox, a provider, a clock
//! and its outages, so that their requests and the runs of the sweep interleave. After some days of that everything
//! recovers, nothing more is delivered, and the sweep goes on for a fortnight: then the [`aftermath`] is judged.
//!
//! `PAYMENTS_MODEL_CASES` is how many cases are run, 500 by default; 10,000 take some minutes. `PAYMENTS_MODEL_SEED`
//! repeats a world whose seed a failure has printed, as far as its interleaving with Postgres allows.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

mod aftermath;
mod buyer;
mod history;
mod killed;
mod systems;
mod tally;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use shared_core::env::Env;
use shared_lambda::system_entropy;
use tokio::runtime::Builder;

use crate::tally::Tally;
use crate::world::World;

/// Buyers of a world.
const BUYERS: usize = 50;
const CASES: u64 = 500;
/// A world waits for Postgres most of the time.
const THREADS_PER_CORE: usize = 3;

#[test]
fn whatever_happens_no_payment_is_lost_and_none_counts_twice() {
    let env = Env::new(|name| std::env::var(name).ok());
    let cases: u64 = env.parsed("PAYMENTS_MODEL_CASES", CASES).unwrap();
    let random = u32::from_be_bytes(system_entropy().bytes());
    let first = env.parsed("PAYMENTS_MODEL_SEED", u64::from(random)).unwrap();
    let (worlds, next) = (cases.div_ceil(BUYERS as u64), AtomicU64::new(0));
    let tally = Mutex::new(Tally::default());
    let live_worlds = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= worlds {
                return;
            }
            let seed = first + number;
            let lived = runtime.block_on(async { World::new(seed, BUYERS).await.live().await });
            tally.lock().unwrap().add(&lived);
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS_PER_CORE * thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(live_worlds);
        }
    });
    let tally = tally.into_inner().unwrap();
    println!("{} cases from seed {first}: {tally}", worlds * BUYERS as u64);
    if cases >= CASES {
        tally.assert_nothing_is_missing();
    }
}
