//! Who pays for a turn, and why nobody does.
//!
//! The rules are the database's, in one statement with the question itself (`pay_for_turn`): what two
//! turns at once could break is not decided here. What it says is.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalogue::ModelPricing;
use crate::model_error::ModelError;
use crate::money;
use crate::plans::{Plan, PlanId, Plans};
use crate::turn::TurnError;

/// A turn that has not ended by then died with whoever ran it: Lambda ends a function's invocation at
/// 300 s, and clocks of two machines differ by less than the rest.
pub const ORPHANED_AFTER: Duration = Duration::from_secs(330);

/// Where in the app plans are bought.
pub const UPGRADE_PATH: &str = "/plans";

/// Who paid for an answer, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The user, in credits.
    Credits {
        /// How many it cost.
        credits: u32,
        /// How many are left of the day or the paid period that they came from.
        left: u32,
        /// The plan whose credits they are: who pays for one has those of the day beside it.
        of: PlanId,
    },
    /// The user's own key.
    Byok,
}

/// Credits of a day or of a paid period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// The plan that grants them.
    pub plan: PlanId,
    /// What is left.
    pub left: u32,
    /// What there was at first.
    pub granted: u32,
    /// When they are gone.
    pub ends_at: Timestamp,
    /// Whether new ones come then, as they do each day, or have to be bought.
    pub renews: bool,
}

/// Why nobody pays for a turn, as the database says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PaymentDenied {
    /// The plan includes the model, and has not enough credits for it.
    CreditsExhausted {
        /// The user's plan.
        plan: PlanId,
        /// What the model costs.
        needed: u32,
        /// What could have paid.
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
    /// The user's own key was to pay, and the provider has refused it before.
    KeyRefused,
    /// The user's own key was to pay, and has spent what the user allows it in a month.
    CapReached {
        /// What the user allows, in billionths of a US dollar.
        cap_nano_usd: i64,
        /// When the next month begins.
        resets_at: Timestamp,
    },
}

impl PaymentDenied {
    /// The refusal with what the user can do about it.
    pub fn with_upgrade_hint(self, pricing: ModelPricing, plans: &Plans) -> TurnError {
        let rules = |plan: &PlanId| plans.of(Some(plan));
        let refused = match self {
            Self::CreditsExhausted { plan, needed, allowances } => TurnDenied::CreditsExhausted {
                needed,
                allowances,
                upgrade: plans.after(&plan).map(Upgrade::to),
            },
            Self::ModelNotIncluded { .. } => TurnDenied::ModelNeedsPlan {
                upgrade: plans.first_with(pricing.tier).map(Upgrade::to),
            },
            Self::ChatFull { plan } => {
                let turns = rules(&plan).chat_turns.get();
                let upgrade = plans.all().find(|other| other.chat_turns.get() > turns);
                TurnDenied::ChatFull { turns, upgrade: upgrade.map(Upgrade::to) }
            }
            Self::MessageTooLong { plan } => {
                let limit = rules(&plan).message_bytes.get();
                let upgrade = plans.all().find(|other| other.message_bytes.get() > limit);
                TurnDenied::MessageTooLong { limit, upgrade: upgrade.map(Upgrade::to) }
            }
            Self::KeyRefused => return ModelError::KeyRefused.into(),
            Self::CapReached { cap_nano_usd, resets_at } => {
                TurnDenied::CapReached { cap_nano_usd, resets_at }
            }
        };
        refused.into()
    }
}

/// A plan that would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The plan.
    pub plan: PlanId,
    /// What people call it.
    pub name: String,
}

impl Upgrade {
    /// To `plan`.
    pub fn to(plan: &Plan) -> Self {
        Self { plan: plan.id.clone(), name: plan.name.clone() }
    }
}

/// Why a turn is refused, and what the user can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnDenied {
    /// Too few credits.
    #[error(
        "this model costs {needed} {}, and you have {} left{}; {}use an OpenRouter key of your own",
        plural(*needed), most_left(allowances), when_more(allowances, *needed), upgrade_or(upgrade.as_ref())
    )]
    CreditsExhausted {
        /// What the model costs.
        needed: u32,
        /// What could have paid.
        allowances: Vec<Allowance>,
        /// A plan with more.
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
        /// How many turns that is.
        turns: u32,
        /// A plan with longer chats.
        upgrade: Option<Upgrade>,
    },
    /// The question is too long.
    #[error("a message has at most {limit} bytes on your plan; shorten it{}", or_upgrade(upgrade.as_ref()))]
    MessageTooLong {
        /// How long it may be, in bytes of UTF-8.
        limit: usize,
        /// A plan with longer messages.
        upgrade: Option<Upgrade>,
    },
    /// What the model would be shown is too much.
    #[error(
        "this question and what was said before it are about {tokens} tokens, and your plan takes {limit}; start a new chat{}",
        or_upgrade(upgrade.as_ref())
    )]
    ContextTooLarge {
        /// How much it is, estimated.
        tokens: u32,
        /// How much it may be.
        limit: u32,
        /// A plan with more context.
        upgrade: Option<Upgrade>,
    },
    /// The user's own key has spent what the user allows it.
    #[error(
        "your key has spent the {} US dollars that you allow it in a month; raise its cap, or wait until {resets_at}",
        money::usd(*cap_nano_usd)
    )]
    CapReached {
        /// What that is, in billionths of a US dollar.
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
    fn a_refusal_is_read_as_the_database_words_it() {
        let refusal = r#"{"plan": "free", "needed": 3, "reason": "credits_exhausted",
            "allowances": [{"plan": "free", "left": 2, "granted": 5, "renews": true, "endsAt": "2026-11-23T00:00:00+00:00"}]}"#;
        let Ok(PaymentDenied::CreditsExhausted { needed: 3, allowances, .. }) =
            serde_json::from_str(refusal)
        else {
            panic!("{refusal}");
        };
        assert_eq!((allowances[0].left, allowances[0].granted), (2, 5));
        assert_eq!(allowances[0].ends_at.to_string(), "2026-11-23T00:00:00Z");
        assert_eq!(
            serde_json::from_str::<PaymentDenied>(r#"{"reason": "key_refused"}"#).unwrap(),
            PaymentDenied::KeyRefused
        );
    }
}
