//! Drains a kind of the inbox's items.
//!
//! Processing an item is idempotent, and it is removed from the inbox after that: a run that is killed between the two, or
//! that races another one, does no harm.

use shared_core::store::StoreError;
use shared_inbox::{Kind, Position, UnreadableItem, WaitingItem};

use crate::{Run, WorkError};

/// What became of an item.
pub(crate) enum Processed {
    /// It is done, in a word for its stub.
    Done(&'static str),
    /// It is done, and its body is the only record of it.
    Archived(&'static str),
    /// It waits for something else than Postgres.
    Waits,
    /// Postgres has rejected it, or cannot be reached.
    Rejected(StoreError),
    /// It cannot be read.
    Unreadable,
}

/// What a run leaves in the inbox.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    /// All items of the kind.
    pub(crate) waiting: u64,
    /// Of these, items that were rejected although Postgres was available, or that cannot be read.
    pub(crate) failed: u64,
}

/// Goes through the waiting items of a kind, page by page.
pub(crate) struct Drain {
    kind: Kind,
    page: std::vec::IntoIter<WaitingItem>,
    next: Next,
    unreadable: u64,
}

/// Where the next page begins.
enum Next {
    First,
    After(Position),
    None,
}

impl Drain {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, page: Vec::new().into_iter(), next: Next::First, unreadable: 0 }
    }

    /// The next item; `None` after the last one, and once the run is out of time.
    pub(crate) async fn next(
        &mut self,
        run: &mut Run<'_>,
    ) -> Result<Option<WaitingItem>, WorkError> {
        loop {
            if run.is_out_of_time() {
                return Ok(None);
            }
            if let Some(item) = self.page.next() {
                return Ok(Some(item));
            }
            let after = match &self.next {
                Next::First => None,
                Next::After(position) => Some(position),
                Next::None => return Ok(None),
            };
            let page = run.deps.inbox.waiting_items(self.kind, after).await?;
            for UnreadableItem { id, why } in page.unreadable {
                tracing::error!(item = id, %why, "an item of the inbox cannot be read");
                self.unreadable += 1;
            }
            self.page = page.items.into_iter();
            self.next = page.next.map_or(Next::None, Next::After);
        }
    }

    /// Settles an item by what became of it.
    pub(crate) async fn settle(
        &mut self,
        run: &Run<'_>,
        item: &WaitingItem,
        processed: Processed,
    ) -> Result<(), WorkError> {
        match processed {
            Processed::Done(word) => {
                run.deps.inbox.done(item, word, run.deps.clock.now()).await?;
            }
            Processed::Archived(word) => {
                run.deps.inbox.archive_waiting(item, word, run.deps.clock.now()).await?;
            }
            Processed::Waits => {}
            Processed::Rejected(error) => rejected(run, item, error).await?,
            Processed::Unreadable => {
                tracing::error!(item = item.item.id, "an item of the inbox cannot be read");
                self.unreadable += 1;
            }
        }
        Ok(())
    }

    /// What is left.
    pub(crate) async fn left(self, run: &Run<'_>) -> Result<Left, WorkError> {
        let depth = run.deps.inbox.depth(self.kind).await?;
        Ok(Left { waiting: depth.waiting, failed: depth.failed + self.unreadable })
    }
}

/// An item that Postgres rejects does not block those behind it. While Postgres is unavailable, all wait, and no attempt
/// is counted for any of them.
async fn rejected(
    run: &Run<'_>,
    waiting: &WaitingItem,
    error: StoreError,
) -> Result<(), WorkError> {
    if !run.can_reach_postgres().await {
        return Err(error.into());
    }
    let (item, attempts) = (&waiting.item.id, waiting.attempts + 1);
    tracing::error!(item, attempts, %error, "an item of the inbox cannot be stored");
    let (inbox, now) = (&run.deps.inbox, run.deps.clock.now());
    Ok(inbox.failed(waiting, &error.to_string(), now).await?)
}
