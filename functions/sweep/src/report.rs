//! What a run did and what it left: for the log, the alarms, and whoever asked for it.

use jiff::Timestamp;
use serde::Serialize;
use shared_http::{Metric, measure};

/// What a run did, and what it left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// Turns out of the inbox that are stored now.
    pub turns_stored: u64,
    /// What is in the inbox after that, unless nobody knows.
    pub inbox_waiting: Option<u64>,
    /// Of that, what Postgres has refused although it was there, or what cannot be read.
    pub inbox_failed: Option<u64>,
    /// Turns that had died, and are closed.
    pub orphaned_turns_closed: u64,
    /// Of these, those of which words are kept; the others are free.
    pub answers_kept: u64,
    /// Turns that died, and have long been open because they cannot be closed; unless nobody knows.
    pub orphaned_turns_stuck: Option<u64>,
    /// Turns of which it is known now what they took.
    pub usage_backfilled: u64,
    /// Keys that are under the current master key now.
    pub keys_rotated: u64,
    /// Keys that could not be opened, and were left as they are.
    pub keys_unreadable: u64,
    /// Data keys of former master keys, which no key needs any more.
    pub data_keys_deleted: usize,
    /// Whether the time was over before the work.
    pub out_of_time: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

impl SweepReport {
    /// Whether there was anything to do, or is anything left.
    pub fn did_something(&self) -> bool {
        let left = |count: Option<u64>| count.filter(|count| *count > 0);
        let told = Self {
            inbox_waiting: left(self.inbox_waiting),
            inbox_failed: left(self.inbox_failed),
            orphaned_turns_stuck: left(self.orphaned_turns_stuck),
            duration_ms: 0,
            ..self.clone()
        };
        told != Self::default()
    }

    /// Writes it to the log.
    pub fn log(&self) {
        tracing::info!(
            turns.stored = self.turns_stored,
            inbox.waiting = self.inbox_waiting,
            inbox.failed = self.inbox_failed,
            turns.ended = self.orphaned_turns_closed,
            answers.kept = self.answers_kept,
            streams.stale = self.orphaned_turns_stuck,
            turns.priced = self.usage_backfilled,
            keys.sealed_anew = self.keys_rotated,
            keys.unreadable = self.keys_unreadable,
            data_keys.forgotten = self.data_keys_deleted,
            out_of_time = self.out_of_time,
            duration_ms = self.duration_ms,
            "swept"
        );
    }

    /// Writes the numbers that have alarms, zeros too: an alarm is over when they come. What nobody knows is
    /// no zero.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2⁵³ turns")]
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
