//! Plans, credits, what turns have cost, and how plans are bought.

mod attempt;
mod money;
mod order;
mod paise;
mod payment;
mod phone;
mod plans;
mod usage;

pub use attempt::{Fulfilment, PaymentAttempt, SUCCESS};
pub use money::{nano_usd, usd};
pub use order::{
    ORDER_LIFETIME, ORDERS_PER_DAY, ORDERS_PER_HOUR, Offer, Order, OrderError, OrderId, OrderState,
    PayerId, SHORTEST_LEFT, next_check, next_comparison,
};
pub use paise::{CURRENCY, Paise};
pub use payment::{Allowance, Charge, PaymentDenied, TurnDenied, UPGRADE_PATH, Upgrade};
pub use phone::{InvalidPhone, Phone};
pub use plans::{GrantInterval, Plan, PlanId, Plans};
pub use usage::{DayUsage, PaidBy, TurnState, TurnUsage};
