//! What the provider has counted of a turn, as columns of `messages` and `turns`.

use shared_core::answer::Usage;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::DatabaseError;

/// Tokens, and what they cost.
#[derive(Debug)]
pub(crate) struct UsageColumns {
    prompt_tokens: Option<i32>,
    completion_tokens: Option<i32>,
    reasoning_tokens: Option<i32>,
    cached_tokens: Option<i32>,
    cost: Option<i64>,
}

impl UsageColumns {
    pub(crate) fn new(usage: Option<Usage>) -> Self {
        let tokens =
            |of: fn(Usage) -> u32| usage.map(|usage| i32::try_from(of(usage)).unwrap_or(i32::MAX));
        Self {
            prompt_tokens: tokens(|usage| usage.prompt_tokens),
            completion_tokens: tokens(|usage| usage.completion_tokens),
            reasoning_tokens: tokens(|usage| usage.reasoning_tokens),
            cached_tokens: tokens(|usage| usage.cached_tokens),
            cost: usage.and_then(|usage| usage.cost_nano_usd),
        }
    }

    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 5] {
        let Self { prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost } = self;
        [prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost]
    }
}

/// Five columns from `first` on. What the provider never counted is nothing.
pub(crate) fn usage(row: &Row, first: usize) -> Result<Option<Usage>, DatabaseError> {
    let tokens = |column: usize| {
        row.try_get::<_, Option<i32>>(first + column).map(|tokens| tokens.map(i32::unsigned_abs))
    };
    let Some(prompt_tokens) = tokens(0)? else { return Ok(None) };
    Ok(Some(Usage {
        prompt_tokens,
        completion_tokens: tokens(1)?.unwrap_or(0),
        reasoning_tokens: tokens(2)?.unwrap_or(0),
        cached_tokens: tokens(3)?.unwrap_or(0),
        cost_nano_usd: row.try_get(first + 4)?,
    }))
}
