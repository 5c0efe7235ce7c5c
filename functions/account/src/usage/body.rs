//! JSON body of the usage report. Money is in US dollars, as numbers.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use shared_core::billing::{
    Allowance, DayUsage, GrantInterval, PaidBy, Plans, TurnState, TurnUsage, usd,
};
use shared_core::keys::{KeyPolicy, KeyStatus, MonthlyCap};
use shared_core::models::Tier;
use shared_http::{KeyStatusSchema, PageBody, PlanLimits, key_policy_schema};
use shared_postgres::{KeyUsage, UsageOverview};
use utoipa::ToSchema;

/// The user's allowances, limits and usage.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageBody {
    /// The user's plan.
    plan: UsagePlan,
    /// Credits left, and the allowances that they come from.
    credits: Credits,
    /// The user's own OpenRouter key (BYOK), or null.
    byok: Option<UsageKey>,
    /// Limits of the plan.
    limits: PlanLimits,
    /// Storage that the user's files take.
    storage: UsageStorage,
    /// Usage per day, model and payer, newest day first.
    days: Vec<UsageDay>,
    /// Usage per turn, newest first.
    turns: PageBody<UsageTurn>,
}

/// Storage of files.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageStorage {
    /// Bytes of all files, as they were sent, with those that are expected.
    #[schema(example = 204_800)]
    bytes: u64,
    /// The plan's limit.
    #[schema(example = 104_857_600)]
    limit_bytes: u64,
}

/// A plan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsagePlan {
    /// The plan's id.
    #[schema(example = "premium")]
    id: String,
    /// Display name.
    #[schema(example = "Premium")]
    name: String,
    /// When the paid period ends; null for a plan without one.
    ends_at: Option<Timestamp>,
}

/// Credits.
#[derive(Serialize, ToSchema)]
struct Credits {
    /// Credits that can be spent now on models of the tier `free`.
    left: u32,
    /// The allowances, in the order in which they are spent.
    allowances: Vec<UsageAllowance>,
}

/// An allowance: the credits of a day or of a paid period.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageAllowance {
    /// The plan that grants it.
    #[schema(example = "free")]
    plan: String,
    /// Credits left.
    left: u32,
    /// Credits granted at the start.
    granted: u32,
    /// When it expires.
    ends_at: Timestamp,
    /// Whether it renews then, as a day's does, or has to be bought again.
    renews: bool,
}

/// The user's own key (BYOK).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageKey {
    /// The key, masked.
    #[schema(example = "sk-or-...1c96")]
    masked: String,
    #[serde(rename = "policy")]
    #[schema(schema_with = key_policy_schema)]
    policy: KeyPolicy,
    /// Whether turns can be paid with it.
    #[schema(value_type = KeyStatusSchema)]
    status: KeyStatus,
    /// Cap on its spending here per month (UTC), or null.
    monthly_cap_usd: Option<f64>,
    /// Spent here in this month.
    spent_this_month_usd: f64,
    /// When the next month begins.
    resets_at: Timestamp,
}

/// Usage of one day, model and payer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageDay {
    /// The day on which the turns began, in UTC.
    day: Date,
    /// The model's id.
    #[schema(example = "openai/gpt-5-mini")]
    model: String,
    /// `credits` or `byok`.
    #[schema(value_type = String, example = "credits")]
    paid_by: PaidBy,
    /// Turns that began, including those without an answer.
    turns: i64,
    /// Tokens of the prompts.
    prompt_tokens: i64,
    /// Tokens of the answers, reasoning included.
    completion_tokens: i64,
    /// Tokens of the answers that were reasoning.
    reasoning_tokens: i64,
    /// Tokens of the prompts that the provider had cached.
    cached_tokens: i64,
    /// What the provider charged, to the platform or to the user's own key.
    cost_usd: f64,
    /// Credits that were charged.
    credits: i64,
}

/// Usage of one turn.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageTurn {
    /// The answer's id.
    answer_id: String,
    /// The chat's id; the chat may be deleted.
    chat_id: String,
    /// The model's id.
    #[schema(example = "openai/gpt-5-mini")]
    model: String,
    /// `credits` or `byok`.
    #[schema(value_type = String, example = "credits")]
    paid_by: PaidBy,
    /// `open`: the credits are reserved; `settled`: they are charged; `released`: they were returned.
    #[schema(value_type = String, example = "settled")]
    state: TurnState,
    /// Credits that are reserved or charged for it.
    credits: i32,
    /// Tokens of the prompt, once they are known.
    prompt_tokens: Option<i32>,
    /// Tokens of the answer, once they are known.
    completion_tokens: Option<i32>,
    /// What the provider charged, to the platform or to the user's own key, once it is known.
    cost_usd: Option<f64>,
    /// When it began.
    began_at: Timestamp,
    /// When it ended, if it has.
    ended_at: Option<Timestamp>,
}

impl UsageBody {
    pub(super) fn new(usage: UsageOverview, plans: &Plans) -> Self {
        let current = usage.allowances.first();
        let plan = plans.of(current.map(|allowance| &allowance.plan));
        let paid_until = current.filter(|_| plan.every == GrantInterval::Period);
        let spendable = usage.allowances.iter().filter(|allowance| {
            plans.get(&allowance.plan).is_some_and(|plan| plan.includes(Tier::Free))
        });
        Self {
            plan: UsagePlan {
                id: plan.id.to_string(),
                name: plan.name.clone(),
                ends_at: paid_until.map(|allowance| allowance.ends_at),
            },
            credits: Credits {
                left: spendable.map(|allowance| allowance.left).sum(),
                allowances: usage.allowances.iter().map(UsageAllowance::from).collect(),
            },
            byok: usage.key.map(UsageKey::from),
            limits: PlanLimits::from(plan),
            storage: UsageStorage { bytes: usage.stored_bytes, limit_bytes: plan.stored_bytes() },
            days: usage.days.into_iter().map(UsageDay::from).collect(),
            turns: PageBody::new(usage.turns, UsageTurn::from),
        }
    }
}

impl From<&Allowance> for UsageAllowance {
    fn from(allowance: &Allowance) -> Self {
        Self {
            plan: allowance.plan.to_string(),
            left: allowance.left,
            granted: allowance.granted,
            ends_at: allowance.ends_at,
            renews: allowance.renews,
        }
    }
}

impl From<KeyUsage> for UsageKey {
    fn from(key: KeyUsage) -> Self {
        Self {
            masked: key.masked,
            policy: key.settings.policy,
            status: KeyStatus::of(key.refused),
            monthly_cap_usd: key.settings.cap.map(MonthlyCap::usd),
            spent_this_month_usd: usd(key.spent_nano_usd),
            resets_at: key.month_ends_at,
        }
    }
}

impl From<DayUsage> for UsageDay {
    fn from(day: DayUsage) -> Self {
        Self {
            day: day.day,
            model: day.model,
            paid_by: day.paid_by,
            turns: day.turns,
            prompt_tokens: day.prompt_tokens,
            completion_tokens: day.completion_tokens,
            reasoning_tokens: day.reasoning_tokens,
            cached_tokens: day.cached_tokens,
            cost_usd: usd(day.cost_nano_usd),
            credits: day.credits,
        }
    }
}

impl From<TurnUsage> for UsageTurn {
    fn from(turn: TurnUsage) -> Self {
        Self {
            answer_id: turn.answer,
            chat_id: turn.chat,
            model: turn.model,
            paid_by: turn.paid_by,
            state: turn.state,
            credits: turn.credits,
            prompt_tokens: turn.prompt_tokens,
            completion_tokens: turn.completion_tokens,
            cost_usd: turn.cost_nano_usd.map(usd),
            began_at: turn.began_at,
            ended_at: turn.ended_at,
        }
    }
}
