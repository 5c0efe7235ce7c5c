//! What a run did: for the log, the alarms, and whoever asked for it.

use jiff::Timestamp;
use serde::Serialize;
use shared_http::{Metric, measure};

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Turns that had died.
    pub turns_ended: i64,
    /// The credits of these turns.
    pub credits_given_back: i64,
    /// Keys that are under the current master key now.
    pub keys_sealed_anew: u64,
    /// Keys that could not be opened, and were left as they are.
    pub keys_unreadable: u64,
    /// Data keys of former master keys, which no key needs any more.
    pub data_keys_forgotten: usize,
    /// Whether the time was over before the work.
    pub out_of_time: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

impl Swept {
    /// Whether there was anything to do.
    pub fn did_something(&self) -> bool {
        let idle = Self { duration_ms: self.duration_ms, ..Self::default() };
        *self != idle
    }

    /// Writes it to the log.
    pub fn log(&self) {
        tracing::info!(
            turns.ended = self.turns_ended,
            credits.given_back = self.credits_given_back,
            keys.sealed_anew = self.keys_sealed_anew,
            keys.unreadable = self.keys_unreadable,
            data_keys.forgotten = self.data_keys_forgotten,
            out_of_time = self.out_of_time,
            duration_ms = self.duration_ms,
            "swept"
        );
    }

    /// Writes the numbers that have alarms, zeros too: an alarm is over when they come.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2⁵³ turns")]
    pub(crate) fn measure(&self, now: Timestamp) {
        let metrics = [
            Metric::count("TurnsDied", self.turns_ended as f64),
            Metric::count("KeysUnreadable", self.keys_unreadable as f64),
        ];
        measure(now, &metrics, &[]);
    }
}
