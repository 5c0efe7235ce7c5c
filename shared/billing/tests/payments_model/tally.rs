//! What has happened in all worlds: a model in which nothing happens proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use sweep::SweepReport;

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

/// What has to occur among five hundred cases.
const OCCURS: [&str; 11] = [
    "orders paid",
    "orders paid at once",
    "orders expired",
    "orders terminated",
    "orders active",
    "ordered again",
    "payments fulfilled",
    "payments second_payment",
    "payments mismatch",
    "payments unpaid",
    "ordersFulfilled",
];

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }

    pub(crate) fn add_sweep(&mut self, report: &SweepReport) {
        for name in ["deliveriesProcessed", "ordersChecked", "ordersFulfilled", "paymentMismatches"]
        {
            self.count(name, report.count(name).unwrap_or(0));
        }
    }

    pub(crate) fn assert_nothing_is_missing(&self) {
        for name in OCCURS {
            assert!(self.0.get(name).is_some_and(|count| *count > 0), "no {name}: {self}");
        }
    }

    pub(crate) fn count(&mut self, name: impl Into<String>, more: u64) {
        *self.0.entry(name.into()).or_default() += more;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, count)) in self.0.iter().enumerate() {
            write!(f, "{}{name}: {count}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
