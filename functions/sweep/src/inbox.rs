//! Drains the inbox: persists turns that ended while Postgres was unavailable.
//!
//! Storing a turn is idempotent, and it is removed from the inbox after that: a run that is killed between
//! the two, or that races another one, does no harm.

use shared_core::store::StoreError;
use shared_inbox::WaitingTurn;
use shared_postgres::Stored;

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
    let depth = run.deps.inbox.depth().await?;
    run.report.set(WAITING, depth.waiting);
    run.report.set(FAILED, depth.failed + unreadable);
    drained
}

async fn store_all(run: &mut Run<'_>, unreadable: &mut u64) -> Result<(), WorkError> {
    let mut after = None;
    loop {
        let page = run.deps.inbox.waiting_turns(after.as_ref()).await?;
        for item in &page.unreadable {
            tracing::error!(item = item.id, why = %item.why, "an item of the inbox cannot be read");
            *unreadable += 1;
        }
        for waiting in &page.turns {
            if run.is_out_of_time() {
                return Ok(());
            }
            store(run, waiting).await?;
        }
        after = page.next;
        if after.is_none() || run.is_out_of_time() {
            return Ok(());
        }
    }
}

async fn store(run: &mut Run<'_>, waiting: &WaitingTurn) -> Result<(), WorkError> {
    let deps = run.deps;
    let ended = match deps.jobs.store_finished(&waiting.turn).await {
        Ok(Stored::Now) => {
            run.report.add(STORED, 1);
            "stored"
        }
        Ok(Stored::Already) => "stored before",
        Ok(Stored::Gone) => "deleted",
        Err(error) => return refused(run, waiting, error).await,
    };
    Ok(deps.inbox.done(waiting, ended, deps.clock.now()).await?)
}

/// A turn that Postgres rejects does not block those behind it. While Postgres is unavailable, all wait,
/// and no attempt is counted for any of them.
async fn refused(run: &Run<'_>, waiting: &WaitingTurn, error: StoreError) -> Result<(), WorkError> {
    if !run.is_postgres_there().await {
        return Err(error.into());
    }
    let (answer, attempts) = (&waiting.turn.answer_id, waiting.attempts() + 1);
    tracing::error!(%answer, attempts, %error, "an answer in the inbox cannot be stored");
    let (inbox, now) = (&run.deps.inbox, run.deps.clock.now());
    Ok(inbox.failed(waiting, &error.to_string(), now).await?)
}
