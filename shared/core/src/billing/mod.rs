//! Plans, credits, and what turns have cost.

mod money;
mod payment;
mod plans;
mod usage;

pub use money::{nano_usd, usd};
pub use payment::{Allowance, Charge, PaymentDenied, TurnDenied, UPGRADE_PATH, Upgrade};
pub use plans::{GrantInterval, Plan, PlanId, Plans};
pub use usage::{DayUsage, PaidBy, TurnState, TurnUsage};
