//! What a user may spend and has spent: `turns`, `allowances` and `provider_keys`, read and not changed.

use jiff::Timestamp;
use shared_core::credits::Allowance;
use shared_core::ids::MessageId;
use shared_core::keys::{KeyPolicy, MonthlyCap};
use shared_core::plans::{GrantInterval, PlanId, Plans};
use shared_core::usage::{DayUsage, PaidBy, TurnState, TurnUsage};
use tokio_postgres::{Row, types};

use crate::{DatabaseError, KeySettings, Request};

const ALLOWANCES: &str = "
    select plan, balance, granted, ends_at
      from current_allowances($1, $2, $3)";

const KEY: &str = "
    select masked, policy, cap_nano_usd, refused_at is not null, spent_by_key($1, $2),
           month_end($2)
      from provider_keys
     where user_id = $1";

const DAYS: &str = "
    select (began_at at time zone 'UTC')::date as day, model, paid_by, count(*),
           coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
           coalesce(sum(reasoning_tokens), 0), coalesce(sum(cached_tokens), 0),
           coalesce(sum(cost_nano_usd), 0)::bigint,
           coalesce(sum(credits) filter (where state = 'settled'), 0)
      from turns
     where user_id = $1
       and began_at >= date_trunc('day', $2, 'UTC') - ($3 - 1) * interval '24 hours'
       and state <> 'withdrawn'
     group by day, model, paid_by
     order by day desc, model, paid_by desc";

/// `$2` is plain: of a `coalesce`, Postgres does not know that it leaks nothing, and with row-level
/// security the index would then only be told whose turns they are.
const TURNS: &str = "
    select answer_id, chat_id, model, paid_by, state,
           case when state = 'released' then 0 else credits end,
           prompt_tokens, completion_tokens, cost_nano_usd, began_at, ended_at
      from turns
     where user_id = $1
       and (began_at, answer_id) < ($2, $3)
       and state <> 'withdrawn'
     order by began_at desc, answer_id desc
     limit $4";

/// A turn's place in the list. Two may begin in the same microsecond; no two have the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnPlace {
    /// When it began.
    pub began_at: Timestamp,
    /// Its answer.
    pub answer: MessageId,
}

/// How much of the past to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// So many days (UTC), today included.
    pub days: u32,
    /// At most so many turns.
    pub turns: usize,
    /// Turns after this one, which are older.
    pub after: Option<TurnPlace>,
}

/// What a user's own key may spend and has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// What its owner knows it by.
    pub masked: String,
    /// When it pays, and how much.
    pub settings: KeySettings,
    /// Whether the provider has refused it.
    pub refused: bool,
    /// What it has spent in this month (UTC), in billionths of a US dollar.
    pub spent_nano_usd: i64,
    /// When the next month begins.
    pub month_ends_at: Timestamp,
}

/// What a user may spend and has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What could pay for a turn now, in the order in which it does; the first says which plan it is.
    pub allowances: Vec<Allowance>,
    /// The user's own key, if there is one.
    pub key: Option<KeyUsage>,
    /// What each day took, the newest first.
    pub days: Vec<DayUsage>,
    /// What each turn took, the newest first.
    pub turns: Vec<TurnUsage>,
    /// Where the next page of turns begins, if there is one.
    pub next: Option<TurnPlace>,
}

impl Request<'_> {
    /// What the user may spend and has spent. A day that has no row yet shows its whole grant.
    pub async fn usage(&self, query: &UsageQuery, plans: &Plans) -> Result<Usage, DatabaseError> {
        let user = &self.session.user.0;
        let day_credits = i32::try_from(plans.free().credits.get()).unwrap_or(i32::MAX);
        let one_more = i64::try_from(query.turns + 1).unwrap_or(i64::MAX);
        let days = i32::try_from(query.days).unwrap_or(i32::MAX);
        let after = query.after.as_ref().map(|place| place.began_at);
        // Nothing begins later than that.
        let after = after.map_or(types::Timestamp::PosInfinity, types::Timestamp::Value);
        let after_answer = query.after.as_ref().map(|place| place.answer.as_str());
        let [allowances, key, days, turns] = self
            .query_all([
                (ALLOWANCES, &[user, &self.now, &day_credits]),
                (KEY, &[user, &self.now]),
                (DAYS, &[user, &self.now, &days]),
                (TURNS, &[user, &after, &after_answer, &one_more]),
            ])
            .await?;
        let allowances = allowances.iter().map(|row| allowance(row, plans));
        let mut turns = turns.iter().map(turn).collect::<Result<Vec<_>, _>>()?;
        let more = turns.len() > query.turns;
        turns.truncate(query.turns);
        Ok(Usage {
            allowances: allowances.filter_map(Result::transpose).collect::<Result<_, _>>()?,
            key: key.first().map(key_usage).transpose()?,
            days: days.iter().map(day).collect::<Result<_, _>>()?,
            next: turns.last().filter(|_| more).map(place).transpose()?,
            turns,
        })
    }
}

/// Nothing where the operator's table no longer has the plan: then it pays for nothing.
fn allowance(row: &Row, plans: &Plans) -> Result<Option<Allowance>, DatabaseError> {
    let Some(plan) = PlanId::parse(row.try_get(0)?).and_then(|id| plans.get(&id)) else {
        return Ok(None);
    };
    Ok(Some(Allowance {
        plan: plan.id.clone(),
        left: row.try_get::<_, i32>(1)?.unsigned_abs(),
        granted: row.try_get::<_, i32>(2)?.unsigned_abs(),
        ends_at: row.try_get(3)?,
        renews: plan.every == GrantInterval::Day,
    }))
}

fn key_usage(row: &Row) -> Result<KeyUsage, DatabaseError> {
    let policy = KeyPolicy::parse(row.try_get(1)?)
        .ok_or_else(|| DatabaseError::unexpected("a key's policy"))?;
    let cap = row.try_get::<_, Option<i64>>(2)?.map(MonthlyCap::from_nano_usd);
    Ok(KeyUsage {
        masked: row.try_get(0)?,
        settings: KeySettings { policy, cap },
        refused: row.try_get(3)?,
        spent_nano_usd: row.try_get(4)?,
        month_ends_at: row.try_get(5)?,
    })
}

fn day(row: &Row) -> Result<DayUsage, DatabaseError> {
    Ok(DayUsage {
        day: row.try_get(0)?,
        model: row.try_get(1)?,
        paid_by: payer(row.try_get(2)?)?,
        turns: row.try_get(3)?,
        prompt_tokens: row.try_get(4)?,
        completion_tokens: row.try_get(5)?,
        reasoning_tokens: row.try_get(6)?,
        cached_tokens: row.try_get(7)?,
        cost_nano_usd: row.try_get(8)?,
        credits: row.try_get(9)?,
    })
}

fn turn(row: &Row) -> Result<TurnUsage, DatabaseError> {
    let state = TurnState::parse(row.try_get(4)?);
    Ok(TurnUsage {
        answer: row.try_get(0)?,
        chat: row.try_get(1)?,
        model: row.try_get(2)?,
        paid_by: payer(row.try_get(3)?)?,
        state: state.ok_or_else(|| DatabaseError::unexpected("a turn's state"))?,
        credits: row.try_get(5)?,
        prompt_tokens: row.try_get(6)?,
        completion_tokens: row.try_get(7)?,
        cost_nano_usd: row.try_get(8)?,
        began_at: row.try_get(9)?,
        ended_at: row.try_get(10)?,
    })
}

fn payer(word: &str) -> Result<PaidBy, DatabaseError> {
    PaidBy::parse(word).ok_or_else(|| DatabaseError::unexpected("a turn's payer"))
}

fn place(turn: &TurnUsage) -> Result<TurnPlace, DatabaseError> {
    let answer =
        MessageId::parse(&turn.answer).map_err(|error| DatabaseError::Unavailable(error.into()))?;
    Ok(TurnPlace { began_at: turn.began_at, answer })
}
