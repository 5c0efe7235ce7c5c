//! The report of a run: for the log, the alarms and the caller.

use jiff::Timestamp;
use serde::Serialize;
use shared_http::{Metric, measure};

/// Work that a run did, and work that it left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// Turns stored from the inbox.
    pub turns_stored: u64,
    /// Items left in the inbox after that; `None` if unknown.
    pub inbox_waiting: Option<u64>,
    /// Of these, items that Postgres rejected although it was available, or that cannot be read.
    pub inbox_failed: Option<u64>,
    /// Orphaned turns that were closed.
    pub orphaned_turns_closed: u64,
    /// Of these, turns whose text is kept; the others are free.
    pub answers_kept: u64,
    /// Orphaned turns that stay open because they cannot be closed; `None` if unknown.
    pub orphaned_turns_stuck: Option<u64>,
    /// Turns whose usage was backfilled.
    pub usage_backfilled: u64,
    /// Keys re-encrypted under the current master key.
    pub keys_rotated: u64,
    /// Keys that could not be decrypted, and were left unchanged.
    pub keys_unreadable: u64,
    /// Deleted data keys of former master keys, which no key needs any more.
    pub data_keys_deleted: usize,
    /// Whether the deadline passed before the work was done.
    pub out_of_time: bool,
    /// Duration, in milliseconds.
    pub duration_ms: i64,
}

impl SweepReport {
    /// Whether any work was done or is left.
    pub fn did_something(&self) -> bool {
        let left = |count: Option<u64>| count.filter(|count| *count > 0);
        let relevant = Self {
            inbox_waiting: left(self.inbox_waiting),
            inbox_failed: left(self.inbox_failed),
            orphaned_turns_stuck: left(self.orphaned_turns_stuck),
            duration_ms: 0,
            ..self.clone()
        };
        relevant != Self::default()
    }

    /// Writes it to the log.
    pub fn log(&self) {
        tracing::info!(
            turns.stored = self.turns_stored,
            inbox.waiting = self.inbox_waiting,
            inbox.failed = self.inbox_failed,
            orphaned_turns.closed = self.orphaned_turns_closed,
            answers.kept = self.answers_kept,
            orphaned_turns.stuck = self.orphaned_turns_stuck,
            usage.backfilled = self.usage_backfilled,
            keys.rotated = self.keys_rotated,
            keys.unreadable = self.keys_unreadable,
            data_keys.deleted = self.data_keys_deleted,
            out_of_time = self.out_of_time,
            duration_ms = self.duration_ms,
            "swept"
        );
    }

    /// Writes the metrics that have alarms, zeros too: they end an alarm. An unknown count is left out,
    /// because it is no zero.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2⁵³ turns")]
    pub(crate) fn measure(&self, now: Timestamp) {
        let metrics: Vec<_> = [
            ("TurnsStored", Some(self.turns_stored)),
            ("InboxWaiting", self.inbox_waiting),
            ("InboxFailed", self.inbox_failed),
            ("TurnsOrphaned", Some(self.orphaned_turns_closed)),
            ("OrphanedTurnsStuck", self.orphaned_turns_stuck),
            ("KeysUnreadable", Some(self.keys_unreadable)),
        ]
        .into_iter()
        .filter_map(|(name, count)| Some(Metric::count(name, count? as f64)))
        .collect();
        measure(now, &metrics, &[]);
    }
}
