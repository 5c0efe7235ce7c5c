//! Orders of plans: their states, their figures, and why ordering fails.
//!
//! ```text
//! created ──▶ active ──▶ paid
//!    │          │          ▲
//!    └──────────┴──▶ expired, terminated   (a payment that began earlier may still succeed)
//! ```
//!
//! A failed payment attempt changes no state: another one can follow.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::paise::Paise;
use super::phone::InvalidPhone;
use super::plans::PlanId;
use crate::limits::LimitReached;
use crate::store::{BoxError, StoreError};

/// How long an order can be paid. The provider refuses 15 minutes or less.
pub const ORDER_LIFETIME: SignedDuration = SignedDuration::from_mins(30);
/// An open order with less time left is replaced: nobody should begin to pay what expires meanwhile.
pub const SHORTEST_LEFT: SignedDuration = SignedDuration::from_mins(5);
/// Orders of one user in any hour, and in any day.
pub const ORDERS_PER_HOUR: u32 = 10;
/// Orders of one user in any 24 hours.
pub const ORDERS_PER_DAY: u32 = 30;

/// An order's id, a `UUIDv7`. It is the order's id at the payment provider, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// Parses the text that [`Display`](fmt::Display) writes, and no other form of a UUID.
    pub fn parse(raw: &str) -> Option<Self> {
        let id = Uuid::try_parse(raw).ok().map(Self)?;
        (id.to_string() == raw).then_some(id)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Stands for a user in the books, which outlive the account. Random: it says nothing about the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PayerId(pub Uuid);

/// An order's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// Stored here; the provider may not know it yet.
    Created,
    /// The provider waits for its payment.
    Active,
    /// Paid, and what it bought is given. Final.
    Paid,
    /// Its time is over.
    Expired,
    /// Given up: replaced by another order, or refused by the provider.
    Terminated,
}

impl OrderState {
    const ALL: [Self; 5] =
        [Self::Created, Self::Active, Self::Paid, Self::Expired, Self::Terminated];

    /// The database value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Terminated => "terminated",
        }
    }

    /// Parses the database value.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// Whether it waits for a payment.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Created | Self::Active)
    }
}

/// What a plan is sold for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The plan.
    pub plan: PlanId,
    /// Its price.
    pub price: Paise,
    /// The length of the period that it buys, in days of 24 hours.
    pub days: u32,
    /// The credits of that period.
    pub credits: u32,
}

/// An order of a plan, with the figures of the day on which it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id, here and at the provider.
    pub id: OrderId,
    /// What it buys, and for how much.
    pub offer: Offer,
    /// Its state.
    pub state: OrderState,
    /// When the period that it buys begins: of an open order, if it were paid now; `None` if it can no longer be
    /// expected to be paid.
    pub starts_at: Option<Timestamp>,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its payment arrived.
    pub paid_at: Option<Timestamp>,
}

impl Order {
    /// Whether a buyer can be sent to pay it: it is open, is sold as it was then, and there is time left.
    pub fn is_payable(&self, offer: &Offer, now: Timestamp) -> bool {
        self.state.is_open() && self.offer == *offer && self.expires_at >= now + SHORTEST_LEFT
    }
}

/// When the provider is asked about an order that nobody asks about: so long after it was made.
const CHECKS: [SignedDuration; 10] = [
    SignedDuration::from_mins(10),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(6),
    DAY,
    SignedDuration::from_hours(2 * 24),
    SignedDuration::from_hours(3 * 24),
    SignedDuration::from_hours(4 * 24),
    SignedDuration::from_hours(5 * 24),
    SignedDuration::from_hours(6 * 24),
    SignedDuration::from_hours(7 * 24),
];
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// When the provider is asked next about an order that was made at `created_at` and is not paid; `None` once it is not
/// asked any more.
pub fn next_check(created_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    CHECKS.iter().map(|after| created_at + *after).find(|at| *at > now)
}

/// When a paid order is compared with the provider's next: daily, for seven days.
pub fn next_comparison(paid_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    (1..=7).map(|days| paid_at + DAY * days).find(|at| *at > now)
}

/// Why an operation on orders failed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such plan.
    #[error("there is no such plan; GET /api/plans lists those there are")]
    PlanUnknown,
    /// The plan has no price.
    #[error("this plan is not for sale")]
    PlanNotForSale,
    /// The provider needs a phone number, and none is stored.
    #[error("the payment provider needs a phone number; send one as \"phone\"")]
    PhoneNeeded,
    /// Not a phone number.
    #[error(transparent)]
    InvalidPhone(#[from] InvalidPhone),
    /// The idempotency key was used for an order of another plan.
    #[error("this idempotency key was used for an order of another plan; use a new one")]
    KeyReused,
    /// Too many orders.
    #[error("too many orders; try again in {} s", .0.retry_after.as_secs())]
    TooManyOrders(LimitReached),
    /// Orders are asked for too often.
    #[error(transparent)]
    TooManyRequests(LimitReached),
    /// This deployment sells nothing.
    #[error("nothing is sold here")]
    BillingOff,
    /// The provider cannot be reached, or takes no more requests. The order stays, and the next request completes it.
    #[error(
        "payments are not possible right now; try again in a moment, and you will pay once only"
    )]
    PaymentsUnavailable {
        /// When to try again.
        retry_after: Duration,
        /// The cause, for the log.
        #[source]
        source: BoxError,
    },
    /// The provider refuses this deployment's credentials or its requests.
    #[error(
        "payments are not possible: the payment provider refuses this service; its operator has been told"
    )]
    PaymentsMisconfigured(#[source] BoxError),
    /// The user has no such order.
    #[error("you have no such order")]
    NotFound,
    /// Postgres failed.
    #[error("orders cannot be reached right now; try again in a moment")]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_state_round_trips_through_the_database_and_json() {
        for state in OrderState::ALL {
            assert_eq!(OrderState::parse(state.as_str()), Some(state));
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("{:?}", state.as_str()));
        }
        assert_eq!(OrderState::parse("failed"), None);
    }

    #[test]
    fn an_unpaid_order_is_asked_about_ever_less_often_and_for_seven_days() {
        let (mut now, mut minutes) = (at(0), Vec::new());
        while let Some(next) = next_check(at(0), now) {
            minutes.push(next.as_second() / 60);
            now = next;
        }
        let days = (1..=7).map(|day| day * 24 * 60);
        assert_eq!(minutes, [10, 60, 360].into_iter().chain(days).collect::<Vec<_>>());
    }

    #[test]
    fn a_paid_order_is_compared_daily_for_seven_days() {
        let (mut now, mut days) = (at(0), Vec::new());
        while let Some(next) = next_comparison(at(0), now) {
            days.push(next.as_second() / 86_400);
            now = next;
        }
        assert_eq!(days, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn an_id_has_one_form() {
        let id = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
        assert_eq!(OrderId::parse(id).unwrap().to_string(), id);
        for other in [
            "",
            "0198c5a07b1e7cc398c4dc0c0c07398f",
            &id.to_uppercase(),
            "order_1",
            &format!("{{{id}}}"),
        ] {
            assert_eq!(OrderId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_open_order_is_payable_as_long_as_its_offer_stands_and_five_minutes_are_left() {
        let plan = PlanId::parse("premium").unwrap();
        let offer = Offer { plan, price: Paise::new(45_000), days: 30, credits: 250 };
        let order = Order {
            id: OrderId(Uuid::nil()),
            offer: offer.clone(),
            state: OrderState::Active,
            starts_at: None,
            expires_at: at(1800),
            created_at: at(0),
            paid_at: None,
        };
        assert!(order.is_payable(&offer, at(1500)));
        assert!(!order.is_payable(&offer, at(1501)));
        for changed in [
            Offer { price: Paise::new(45_001), ..offer.clone() },
            Offer { days: 31, ..offer.clone() },
            Offer { credits: 251, ..offer.clone() },
        ] {
            assert!(!order.is_payable(&changed, at(0)));
        }
        for (state, payable) in [
            (OrderState::Created, true),
            (OrderState::Paid, false),
            (OrderState::Expired, false),
            (OrderState::Terminated, false),
        ] {
            assert_eq!(Order { state, ..order.clone() }.is_payable(&offer, at(0)), payable);
        }
    }
}
