//! Usage as it is sent. Money is in US dollars, as numbers.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use shared_core::catalogue::Tier;
use shared_core::credits::Allowance;
use shared_core::keys::{KeyPolicy, KeyStatus, MonthlyCap};
use shared_core::money::usd;
use shared_core::plans::{GrantInterval, Plan, Plans};
use shared_core::usage::{DayUsage, PaidBy, TurnState, TurnUsage};
use shared_http::{KeyStatusSchema, key_policy_schema};
use shared_postgres::{KeyUsage, Usage};
use utoipa::ToSchema;

use super::cursor;

/// What one may spend and has spent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageBody {
    /// The user's plan.
    plan: UsagePlan,
    /// What it pays for.
    credits: Credits,
    /// The user's own OpenRouter key, if there is one.
    byok: Option<UsageKey>,
    /// What the plan allows.
    limits: PlanLimits,
    /// What each day took, per model and payer, the newest day first.
    days: Vec<UsageDay>,
    /// What each turn took, the newest first.
    turns: UsageTurns,
}

/// A plan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsagePlan {
    /// What it is called in requests.
    #[schema(example = "premium")]
    id: String,
    /// What people call it.
    #[schema(example = "Premium")]
    name: String,
    /// When the paid period ends; null for a plan that nobody pays for.
    ends_at: Option<Timestamp>,
}

/// Credits.
#[derive(Serialize, ToSchema)]
struct Credits {
    /// What could be spent now, on models of the tier `free`.
    left: u32,
    /// Where they come from, in the order in which they are spent.
    allowances: Vec<UsageAllowance>,
}

/// Credits of a day or of a paid period.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageAllowance {
    /// The plan that grants them.
    #[schema(example = "free")]
    plan: String,
    /// What is left.
    left: u32,
    /// What there was at first.
    granted: u32,
    /// When they are gone.
    ends_at: Timestamp,
    /// Whether new ones come then, as they do each day, or have to be bought.
    renews: bool,
}

/// The user's own key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageKey {
    /// What its owner knows it by.
    #[schema(example = "sk-or-...1c96")]
    masked: String,
    #[serde(rename = "policy")]
    #[schema(schema_with = key_policy_schema)]
    policy: KeyPolicy,
    /// Whether turns can be paid with it.
    #[schema(value_type = KeyStatusSchema)]
    status: KeyStatus,
    /// What it may spend here in a month (UTC).
    monthly_cap_usd: Option<f64>,
    /// What it has spent here in this month.
    spent_this_month_usd: f64,
    /// When the next month begins.
    resets_at: Timestamp,
}

/// What a plan allows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlanLimits {
    /// How much of a chat a model is shown, in tokens.
    context_tokens: u32,
    /// The longest message, in bytes of UTF-8.
    message_bytes: usize,
    /// Turns that a chat may hold.
    chat_turns: u32,
    /// The largest file, in MiB.
    upload_mib: u32,
    /// Turns in any minute.
    turns_per_minute: u32,
    /// Files in any hour.
    uploads_per_hour: u32,
    /// Changes of the user's own key in any 24 hours.
    key_changes_per_day: u32,
}

/// What the turns of a day took, of one model and one payer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageDay {
    /// The day on which they began, in UTC.
    day: Date,
    /// The model that was asked.
    #[schema(example = "openai/gpt-5-mini")]
    model: String,
    /// `credits` or `key`.
    #[schema(value_type = String, example = "credits")]
    paid_by: PaidBy,
    /// How many began, those that came to nothing included.
    turns: i64,
    /// Tokens of the prompts.
    prompt_tokens: i64,
    /// Tokens of the answers, reasoning included.
    completion_tokens: i64,
    /// Tokens of the answers that were reasoning.
    reasoning_tokens: i64,
    /// Tokens of the prompts that the provider had cached.
    cached_tokens: i64,
    /// What the provider charged, to whoever paid.
    cost_usd: f64,
    /// Credits that were charged.
    credits: i64,
}

/// Some of the user's turns, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageTurns {
    /// The turns.
    items: Vec<UsageTurn>,
    /// Where the next page begins, or null on the last.
    next_cursor: Option<String>,
}

/// What one turn took.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageTurn {
    /// The answer's id.
    answer_id: String,
    /// The chat's id; the chat may be deleted.
    chat_id: String,
    /// The model that was asked.
    #[schema(example = "openai/gpt-5-mini")]
    model: String,
    /// `credits` or `key`.
    #[schema(value_type = String, example = "credits")]
    paid_by: PaidBy,
    /// `open`: the credits are reserved; `settled`: they are charged; `released`: they were given back.
    #[schema(value_type = String, example = "settled")]
    state: TurnState,
    /// What it costs.
    credits: i32,
    /// Tokens of the prompt, once they are known.
    prompt_tokens: Option<i32>,
    /// Tokens of the answer, once they are known.
    completion_tokens: Option<i32>,
    /// What the provider charged, to whoever paid, if it said so.
    cost_usd: Option<f64>,
    /// When it began.
    began_at: Timestamp,
    /// When it ended, if it has.
    ended_at: Option<Timestamp>,
}

impl UsageBody {
    pub(super) fn new(usage: Usage, plans: &Plans) -> Self {
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
            days: usage.days.into_iter().map(UsageDay::from).collect(),
            turns: UsageTurns {
                items: usage.turns.into_iter().map(UsageTurn::from).collect(),
                next_cursor: usage.next.as_ref().map(cursor::of),
            },
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

impl From<&Plan> for PlanLimits {
    fn from(plan: &Plan) -> Self {
        Self {
            context_tokens: plan.context_tokens.get(),
            message_bytes: plan.message_bytes.get(),
            chat_turns: plan.chat_turns.get(),
            upload_mib: plan.upload_mib.get(),
            turns_per_minute: plan.turns_per_minute.get(),
            uploads_per_hour: plan.uploads_per_hour.get(),
            key_changes_per_day: plan.key_changes_per_day.get(),
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
