//! Payment of turns: who paid how much, and why payment was denied.
//!
//! The database decides (`pay_for_turn`), in the same statement that stores the question, so
//! concurrent turns do not race. This module types its decisions and words the denials.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::money::usd;
use super::plans::{Plan, PlanId};

/// The app's path for buying plans.
pub const UPGRADE_PATH: &str = "/plans";

/// Who paid for an answer, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The user, in credits.
    Credits {
        /// How many it cost.
        credits: u32,
        /// How many are left of the allowance (day or paid period) that they came from.
        left: u32,
        /// The plan of that allowance: a paying user has the free plan's daily one, too.
        of: PlanId,
    },
    /// The user's own key.
    Byok,
}

/// An allowance: credits of a day or of a paid period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// The plan that grants them.
    pub plan: PlanId,
    /// Credits left.
    pub left: u32,
    /// Credits granted.
    pub granted: u32,
    /// When it ends, and unused credits with it.
    pub ends_at: Timestamp,
    /// Whether it is granted again then (daily), or has to be bought.
    pub renews: bool,
}

/// Why payment for a turn was denied, as the database returns it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PaymentDenied {
    /// The plan includes the model, but too few credits are left.
    CreditsExhausted {
        /// The user's plan.
        plan: PlanId,
        /// The model's price in credits.
        needed: u32,
        /// The allowances that could have paid.
        allowances: Vec<Allowance>,
    },
    /// The plan does not include the model.
    ModelNotIncluded {
        /// The user's plan.
        plan: PlanId,
    },
    /// The chat holds as many turns as the plan allows.
    ChatFull {
        /// The user's plan.
        plan: PlanId,
    },
    /// The question is longer than the plan allows.
    MessageTooLong {
        /// The user's plan.
        plan: PlanId,
    },
    /// BYOK: the provider has refused the user's own key before.
    KeyRefused,
    /// BYOK: the user's own key has reached its monthly cap.
    CapReached {
        /// The cap, in billionths of a US dollar.
        cap_nano_usd: i64,
        /// When the next month begins.
        resets_at: Timestamp,
    },
}

/// A plan that would allow the turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The plan.
    pub plan: PlanId,
    /// Its display name.
    pub name: String,
}

impl Upgrade {
    /// An upgrade to `plan`.
    pub fn to(plan: &Plan) -> Self {
        Self { plan: plan.id.clone(), name: plan.name.clone() }
    }
}

/// Why a turn was denied, and what the user can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnDenied {
    /// Too few credits.
    #[error(
        "this model costs {needed} {}, and you have {} left{}; {}use an OpenRouter key of your own",
        plural(*needed), most_left(allowances), when_more(allowances, *needed), upgrade_or(upgrade.as_ref())
    )]
    CreditsExhausted {
        /// The model's price in credits.
        needed: u32,
        /// The allowances that could have paid.
        allowances: Vec<Allowance>,
        /// A plan with more credits.
        upgrade: Option<Upgrade>,
    },
    /// The model is not part of the plan.
    #[error("this model is not part of your plan; {}use an OpenRouter key of your own", upgrade_or(upgrade.as_ref()))]
    ModelNeedsPlan {
        /// The plan that has it.
        upgrade: Option<Upgrade>,
    },
    /// The chat is full.
    #[error("a chat holds {turns} turns on your plan; start a new one{}", or_upgrade(upgrade.as_ref()))]
    ChatFull {
        /// The plan's limit, in turns.
        turns: u32,
        /// A plan with longer chats.
        upgrade: Option<Upgrade>,
    },
    /// The question is too long.
    #[error("a message has at most {limit} bytes on your plan; shorten it{}", or_upgrade(upgrade.as_ref()))]
    MessageTooLong {
        /// The plan's limit, in bytes of UTF-8.
        limit: usize,
        /// A plan with longer messages.
        upgrade: Option<Upgrade>,
    },
    /// The prompt exceeds the plan's context.
    #[error(
        "this question and what was said before it are about {tokens} tokens, and your plan takes {limit}; start a new chat{}",
        or_upgrade(upgrade.as_ref())
    )]
    ContextTooLarge {
        /// The prompt's estimated tokens.
        tokens: u32,
        /// The plan's limit, in tokens.
        limit: u32,
        /// A plan with more context.
        upgrade: Option<Upgrade>,
    },
    /// BYOK: the user's own key has reached its monthly cap.
    #[error(
        "your key has spent the {} US dollars that you allow it in a month; raise its cap, or wait until {resets_at}",
        usd(*cap_nano_usd)
    )]
    CapReached {
        /// The cap, in billionths of a US dollar.
        cap_nano_usd: i64,
        /// When the next month begins.
        resets_at: Timestamp,
    },
}

fn plural(credits: u32) -> &'static str {
    if credits == 1 { "credit" } else { "credits" }
}

fn most_left(allowances: &[Allowance]) -> u32 {
    allowances.iter().map(|allowance| allowance.left).max().unwrap_or(0)
}

fn when_more(allowances: &[Allowance], needed: u32) -> impl fmt::Display {
    let enough = move |allowance: &&Allowance| allowance.renews && allowance.granted >= needed;
    fmt::from_fn(move |f| match allowances.iter().find(enough) {
        Some(day) => write!(f, " ({} new ones come at {})", day.granted, day.ends_at),
        None => Ok(()),
    })
}

fn upgrade_or(upgrade: Option<&Upgrade>) -> impl fmt::Display {
    fmt::from_fn(move |f| match upgrade {
        Some(upgrade) => write!(f, "upgrade to {}, or ", upgrade.name),
        None => Ok(()),
    })
}

fn or_upgrade(upgrade: Option<&Upgrade>) -> impl fmt::Display {
    fmt::from_fn(move |f| match upgrade {
        Some(upgrade) => write!(f, ", or upgrade to {}", upgrade.name),
        None => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_denial_is_parsed_from_the_databases_json() {
        let denial = r#"{"plan": "free", "needed": 3, "reason": "credits_exhausted",
            "allowances": [{"plan": "free", "left": 2, "granted": 5, "renews": true, "endsAt": "2026-11-23T00:00:00+00:00"}]}"#;
        let Ok(PaymentDenied::CreditsExhausted { needed: 3, allowances, .. }) =
            serde_json::from_str(denial)
        else {
            panic!("{denial}");
        };
        assert_eq!((allowances[0].left, allowances[0].granted), (2, 5));
        assert_eq!(allowances[0].ends_at.to_string(), "2026-11-23T00:00:00Z");
        assert_eq!(
            serde_json::from_str::<PaymentDenied>(r#"{"reason": "key_refused"}"#).unwrap(),
            PaymentDenied::KeyRefused
        );
    }
}
