//! Drains the inbox: persists turns that ended while Postgres was unavailable.
//!
//! Storing a turn is idempotent, and it is removed from the inbox after that: a run that is killed between
//! the two, or that races another one, does no harm.

use shared_core::chat::FinishedTurn;
use shared_core::store::StoreError;
use shared_inbox::WaitingItem;
use shared_postgres::StoreResult;
use shared_turns::{TURNS, finished_turn};

use crate::report::Counter;
use crate::{Run, WorkError};

/// Turns stored from the inbox.
const STORED: Counter = Counter::of_work("turnsStored").with_metric("TurnsStored");
/// Items left in the inbox after that.
const WAITING: Counter = Counter::of_state("inboxWaiting").with_metric("InboxWaiting");
/// Of these, items that Postgres rejected although it was available, or that cannot be read.
const FAILED: Counter = Counter::of_state("inboxFailed").with_metric("InboxFailed");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 3] = [STORED, WAITING, FAILED];

pub(crate) async fn drain(run: &mut Run<'_>) -> Result<(), WorkError> {
    let mut unreadable = 0;
    let drained = store_all(run, &mut unreadable).await;
    // Also if Postgres is unavailable: that is when operators need the depth.
    let depth = run.deps.inbox.depth(TURNS).await?;
    run.report.set(WAITING, depth.waiting);
    run.report.set(FAILED, depth.failed + unreadable);
    drained
}

async fn store_all(run: &mut Run<'_>, unreadable: &mut u64) -> Result<(), WorkError> {
    let mut after = None;
    loop {
        let page = run.deps.inbox.waiting_items(TURNS, after.as_ref()).await?;
        for item in &page.unreadable {
            tracing::error!(item = item.id, why = %item.why, "an item of the inbox cannot be read");
            *unreadable += 1;
        }
        for waiting in &page.items {
            if run.is_out_of_time() {
                return Ok(());
            }
            match finished_turn(&waiting.item) {
                Ok(turn) => store(run, waiting, &turn).await?,
                Err(why) => {
                    tracing::error!(item = waiting.item.id, %why, "an item of the inbox cannot be read");
                    *unreadable += 1;
                }
            }
        }
        after = page.next;
        if after.is_none() || run.is_out_of_time() {
            return Ok(());
        }
    }
}

async fn store(
    run: &mut Run<'_>,
    waiting: &WaitingItem,
    turn: &FinishedTurn,
) -> Result<(), WorkError> {
    let deps = run.deps;
    let ended = match deps.jobs.store_finished(turn).await {
        Ok(StoreResult::Stored) => {
            run.report.add(STORED, 1);
            "stored"
        }
        Ok(StoreResult::Duplicate) => "stored before",
        Ok(StoreResult::Deleted) => "deleted",
        Err(error) => return rejected(run, waiting, error).await,
    };
    Ok(deps.inbox.done(waiting, ended, deps.clock.now()).await?)
}

/// A turn that Postgres rejects does not block those behind it. While Postgres is unavailable, all wait,
/// and no attempt is counted for any of them.
async fn rejected(
    run: &Run<'_>,
    waiting: &WaitingItem,
    error: StoreError,
) -> Result<(), WorkError> {
    if !run.can_reach_postgres().await {
        return Err(error.into());
    }
    let (item, attempts) = (&waiting.item.id, waiting.attempts + 1);
    tracing::error!(item, attempts, %error, "an answer in the inbox cannot be stored");
    let (inbox, now) = (&run.deps.inbox, run.deps.clock.now());
    Ok(inbox.failed(waiting, &error.to_string(), now).await?)
}
