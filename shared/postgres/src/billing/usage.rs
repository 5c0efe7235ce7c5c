//! A user's allowances and usage, read-only: `turns`, `allowances` and `provider_keys`.

use jiff::Timestamp;
use shared_core::billing::{
    Allowance, DayUsage, GrantInterval, PaidBy, PlanId, Plans, TurnState, TurnUsage,
};
use shared_core::page::{Cursor, Page, PageRequest};
use shared_core::store::StoreError;
use tokio_postgres::Row;

use crate::connection::page::after;
use crate::error::DatabaseError;
use crate::keys::provider_keys::settings;
use crate::{KeySettings, Request};

const ALLOWANCES: &str = "
    select plan, balance, granted, ends_at
      from current_allowances($1, $2, $3)";

const KEY: &str = "
    select masked, policy, cap_nano_usd, refused_at is not null as is_refused,
           spent_by_byok($1, $2) as spent_nano_usd, month_end($2) as month_ends_at
      from provider_keys
     where user_id = $1";

const STORAGE: &str = "select bytes from storage_usage where user_id = $1";

const DAYS: &str = "
    select (began_at at time zone 'UTC')::date as day, model, paid_by, count(*) as turns,
           coalesce(sum(prompt_tokens), 0) as prompt_tokens,
           coalesce(sum(completion_tokens), 0) as completion_tokens,
           coalesce(sum(reasoning_tokens), 0) as reasoning_tokens,
           coalesce(sum(cached_tokens), 0) as cached_tokens,
           coalesce(sum(cost_nano_usd), 0)::bigint as cost_nano_usd,
           coalesce(sum(credits) filter (where state = 'settled'), 0) as credits
      from turns
     where user_id = $1
       and began_at >= date_trunc('day', $2, 'UTC') - ($3 - 1) * interval '24 hours'
       and state <> 'withdrawn'
     group by day, model, paid_by
     order by day desc, model, paid_by desc";

/// `$2` is a plain parameter: Postgres does not take a `coalesce` for leakproof, so under row-level security the index
/// condition would be the user alone.
const TURNS: &str = "
    select answer_id, chat_id, model, paid_by, state,
           case when state = 'released' then 0 else credits end as credits,
           prompt_tokens, completion_tokens, cost_nano_usd, began_at, ended_at
      from turns
     where user_id = $1
       and (began_at, answer_id) < ($2, $3)
       and state <> 'withdrawn'
     order by began_at desc, answer_id desc
     limit $4";

/// How much usage to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// The number of days (UTC), today included.
    pub days: u32,
    /// Which turns.
    pub page: PageRequest,
}

/// The settings of a user's own key (BYOK), and what it has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The masked form, such as `sk-or-...abcd`.
    pub masked: String,
    /// Its policy and monthly cap.
    pub settings: KeySettings,
    /// Whether the provider has refused it.
    pub refused: bool,
    /// Spent in this calendar month (UTC), in billionths of a US dollar.
    pub spent_nano_usd: i64,
    /// When the next month begins.
    pub month_ends_at: Timestamp,
}

/// A user's allowances and usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageOverview {
    /// The allowances that could pay for a turn now, in the order in which they do; the first is of the user's plan.
    pub allowances: Vec<Allowance>,
    /// The user's own key, if there is one.
    pub key: Option<KeyUsage>,
    /// Bytes of the user's files.
    pub stored_bytes: u64,
    /// Usage by day, model and payer, the newest day first.
    pub days: Vec<DayUsage>,
    /// Usage by turn, the newest first.
    pub turns: Page<TurnUsage>,
}

impl Request<'_> {
    /// The user's allowances and usage. A day that has no row yet shows its whole grant.
    pub async fn usage(
        &self,
        query: &UsageQuery,
        plans: &Plans,
    ) -> Result<UsageOverview, StoreError> {
        let user = &self.session.user.0;
        let day_credits = i32::try_from(plans.free().credits.get()).unwrap_or(i32::MAX);
        let days = i32::try_from(query.days).unwrap_or(i32::MAX);
        let (at, answer) = after(&query.page);
        let rows = query.page.rows();
        let [allowances, key, storage, days, turns] = self
            .query_all([
                (ALLOWANCES, &[user, &self.now, &day_credits]),
                (KEY, &[user, &self.now]),
                (STORAGE, &[user]),
                (DAYS, &[user, &self.now, &days]),
                (TURNS, &[user, &at, &answer, &rows]),
            ])
            .await?;
        let allowances = allowances.iter().map(|row| allowance(row, plans));
        let turns = turns.iter().map(turn).collect::<Result<_, _>>()?;
        let cursor = |last: &TurnUsage| Cursor { at: last.began_at, id: last.answer.clone() };
        Ok(UsageOverview {
            allowances: allowances.filter_map(Result::transpose).collect::<Result<_, _>>()?,
            key: key.first().map(key_usage).transpose()?,
            stored_bytes: storage.first().map(stored_bytes).transpose()?.unwrap_or(0),
            days: days.iter().map(day).collect::<Result<_, _>>()?,
            turns: query.page.page(turns, cursor),
        })
    }
}

/// None if the plan is no longer configured: then the allowance pays for nothing.
fn allowance(row: &Row, plans: &Plans) -> Result<Option<Allowance>, DatabaseError> {
    let Some(plan) = PlanId::parse(row.try_get("plan")?).and_then(|id| plans.get(&id)) else {
        return Ok(None);
    };
    Ok(Some(Allowance {
        plan: plan.id.clone(),
        left: row.try_get::<_, i32>("balance")?.unsigned_abs(),
        granted: row.try_get::<_, i32>("granted")?.unsigned_abs(),
        ends_at: row.try_get("ends_at")?,
        renews: plan.every == GrantInterval::Day,
    }))
}

fn key_usage(row: &Row) -> Result<KeyUsage, DatabaseError> {
    Ok(KeyUsage {
        masked: row.try_get("masked")?,
        settings: settings(row)?,
        refused: row.try_get("is_refused")?,
        spent_nano_usd: row.try_get("spent_nano_usd")?,
        month_ends_at: row.try_get("month_ends_at")?,
    })
}

fn stored_bytes(row: &Row) -> Result<u64, DatabaseError> {
    Ok(row.try_get::<_, i64>("bytes")?.unsigned_abs())
}

fn day(row: &Row) -> Result<DayUsage, DatabaseError> {
    Ok(DayUsage {
        day: row.try_get("day")?,
        model: row.try_get("model")?,
        paid_by: paid_by(row)?,
        turns: row.try_get("turns")?,
        prompt_tokens: row.try_get("prompt_tokens")?,
        completion_tokens: row.try_get("completion_tokens")?,
        reasoning_tokens: row.try_get("reasoning_tokens")?,
        cached_tokens: row.try_get("cached_tokens")?,
        cost_nano_usd: row.try_get("cost_nano_usd")?,
        credits: row.try_get("credits")?,
    })
}

fn turn(row: &Row) -> Result<TurnUsage, DatabaseError> {
    let state = TurnState::parse(row.try_get("state")?);
    Ok(TurnUsage {
        answer: row.try_get("answer_id")?,
        chat: row.try_get("chat_id")?,
        model: row.try_get("model")?,
        paid_by: paid_by(row)?,
        state: state.ok_or_else(|| DatabaseError::unexpected("a turn's state"))?,
        credits: row.try_get("credits")?,
        prompt_tokens: row.try_get("prompt_tokens")?,
        completion_tokens: row.try_get("completion_tokens")?,
        cost_nano_usd: row.try_get("cost_nano_usd")?,
        began_at: row.try_get("began_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

fn paid_by(row: &Row) -> Result<PaidBy, DatabaseError> {
    PaidBy::parse(row.try_get("paid_by")?)
        .ok_or_else(|| DatabaseError::unexpected("a turn's payer"))
}
