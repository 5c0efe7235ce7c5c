//! Turns whose tokens and price nobody has said: they were stopped, or died, before the provider did.

use jiff::Timestamp;
use shared_core::answer::Usage;
use shared_core::ids::{MessageId, UserId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::payment::{EncryptedKey, encrypted_key};
use crate::usage_columns::UsageColumns;
use crate::{DatabaseError, Jobs};

/// A turn that a key has paid for is known to that key alone: without one there is nobody to ask.
const MISSING_USAGE: &str = "
    select t.user_id, t.answer_id, t.generation_id, t.ended_at,
           d.id, k.nonce, k.ciphertext, d.master, d.wrapped
      from turns t
      left join provider_keys k on t.paid_by = 'byok' and k.user_id = t.user_id
      left join data_keys d on d.id = k.data_key
     where t.state in ('settled', 'released')
       and t.generation_id is not null
       and t.prompt_tokens is null
       and t.cost_nano_usd is null
       and t.ended_at > $1
       and t.ended_at < $2
       and (t.paid_by = 'credits' or d.id is not null)
     order by t.ended_at
     limit $3";

const PRICE: &str = "select price_turn($1, $2, $3, $4, $5, $6, $7)";

/// A turn that has ended after its model had begun, and whose tokens and price are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingUsage {
    /// Whose it is.
    pub user: UserId,
    /// Its answer.
    pub answer: MessageId,
    /// The provider's name for what it made.
    pub generation: String,
    /// The user's key, if it was that which paid; their present one, which may be another.
    pub byok: Option<EncryptedKey>,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl Jobs {
    /// At most `limit` turns that ended after `since` and before `before` and whose tokens and price are
    /// unknown, the oldest first. The next page is the one since the last one's end.
    ///
    /// Whoever asks gives up what is older than `since`: a provider that has not said it within a day will
    /// not.
    pub async fn missing_usage(
        &self,
        since: Timestamp,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<MissingUsage>, DatabaseError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(MISSING_USAGE, &[&since, &before, &limit]).await?;
        rows.iter().map(missing_usage).collect()
    }

    /// Fills in what a turn took, where that is unknown. What it costs its user in credits stays.
    pub async fn backfill_usage(
        &self,
        turn: &MissingUsage,
        usage: Usage,
    ) -> Result<(), DatabaseError> {
        let usage_columns = UsageColumns::new(Some(usage));
        let [prompt, completion, reasoning, cached, cost] = usage_columns.params();
        let answer = turn.answer.as_str();
        let params: &[&(dyn ToSql + Sync)] =
            &[&turn.user.0, &answer, prompt, completion, reasoning, cached, cost];
        self.query(PRICE, params).await.map(drop)
    }
}

fn missing_usage(row: &Row) -> Result<MissingUsage, DatabaseError> {
    let answer = MessageId::parse(row.try_get(1)?);
    let byok = row.try_get::<_, Option<Uuid>>(4)?.map(|data_key| {
        encrypted_key(data_key, row.try_get(5)?, row.try_get(6)?, row.try_get(7)?, row.try_get(8)?)
    });
    Ok(MissingUsage {
        user: UserId(row.try_get(0)?),
        answer: answer.map_err(|error| DatabaseError::Unavailable(error.into()))?,
        generation: row.try_get(2)?,
        byok: byok.transpose()?,
        ended_at: row.try_get(3)?,
    })
}
