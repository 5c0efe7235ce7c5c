//! Usage as the SQL functions take it, and as the columns of `messages` and `turns` have it.

use serde::Serialize;
use shared_core::chat::Usage;
use tokio_postgres::Row;

use crate::error::DatabaseError;

/// The `usage` of `finish_turn` and `backfill_usage`: tokens, and the cost in billionths of a US dollar.
#[derive(Debug, Serialize)]
pub(crate) struct UsageColumns {
    prompt_tokens: i32,
    completion_tokens: i32,
    reasoning_tokens: i32,
    cached_tokens: i32,
    cost_nano_usd: Option<i64>,
}

impl From<Usage> for UsageColumns {
    fn from(usage: Usage) -> Self {
        let tokens = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            prompt_tokens: tokens(usage.prompt_tokens),
            completion_tokens: tokens(usage.completion_tokens),
            reasoning_tokens: tokens(usage.reasoning_tokens),
            cached_tokens: tokens(usage.cached_tokens),
            cost_nano_usd: usage.cost_nano_usd,
        }
    }
}

/// Reads the columns of the same names. No usage where the provider never reported any.
pub(crate) fn usage(row: &Row) -> Result<Option<Usage>, DatabaseError> {
    let tokens =
        |column| row.try_get::<_, Option<i32>>(column).map(|tokens| tokens.map(i32::unsigned_abs));
    let Some(prompt_tokens) = tokens("prompt_tokens")? else { return Ok(None) };
    Ok(Some(Usage {
        prompt_tokens,
        completion_tokens: tokens("completion_tokens")?.unwrap_or(0),
        reasoning_tokens: tokens("reasoning_tokens")?.unwrap_or(0),
        cached_tokens: tokens("cached_tokens")?.unwrap_or(0),
        cost_nano_usd: row.try_get("cost_nano_usd")?,
    }))
}
