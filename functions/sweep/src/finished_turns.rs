//! Persists turns that ended while Postgres was unavailable: they wait in the inbox.

use shared_inbox::WaitingItem;
use shared_postgres::StoreResult;
use shared_turns::{TURNS, finished_turn};

use crate::inbox::{Drain, Processed};
use crate::report::Counter;
use crate::{Run, WorkError};

/// Turns stored from the inbox.
const STORED: Counter = Counter::of_work("turnsStored").with_metric("TurnsStored");
/// Turns left in the inbox after that.
const WAITING: Counter = Counter::of_state("inboxWaiting").with_metric("InboxWaiting");
/// Of these, turns that Postgres rejected although it was available, or that cannot be read.
const FAILED: Counter = Counter::of_state("inboxFailed").with_metric("InboxFailed");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 3] = [STORED, WAITING, FAILED];

pub(crate) async fn store(run: &mut Run<'_>) -> Result<(), WorkError> {
    let mut items = Drain::new(TURNS);
    let stored = store_all(run, &mut items).await;
    // Also if Postgres is unavailable: that is when operators need the numbers.
    let left = items.left(run).await?;
    run.report.set(WAITING, left.waiting);
    run.report.set(FAILED, left.failed);
    stored
}

async fn store_all(run: &mut Run<'_>, items: &mut Drain) -> Result<(), WorkError> {
    while let Some(waiting) = items.next(run).await? {
        let processed = store_one(run, &waiting).await;
        items.settle(run, &waiting, processed).await?;
    }
    Ok(())
}

async fn store_one(run: &mut Run<'_>, waiting: &WaitingItem) -> Processed {
    let Ok(turn) = finished_turn(&waiting.item) else { return Processed::Unreadable };
    match run.deps.jobs.store_finished(&turn).await {
        Ok(StoreResult::Stored) => {
            run.report.add(STORED, 1);
            Processed::Done("stored")
        }
        Ok(StoreResult::Duplicate) => Processed::Done("stored before"),
        Ok(StoreResult::Deleted) => Processed::Done("deleted"),
        Err(error) => Processed::Rejected(error),
    }
}
