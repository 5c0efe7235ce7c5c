//! Ended turns whose usage is unknown: they were stopped or orphaned before the provider reported it.

use jiff::Timestamp;
use shared_core::chat::Usage;
use shared_core::ids::{MessageId, UserId};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::payment::encrypted_key;
use super::usage_columns::UsageColumns;
use crate::error::DatabaseError;
use crate::{EncryptedKey, Jobs};

/// The provider knows a generation only by the key that paid: of a deleted key, there is no way to ask.
const MISSING_USAGE: &str = "
    select t.user_id, t.answer_id, t.generation_id, t.ended_at,
           d.id as data_key, k.nonce, k.ciphertext, d.master, d.wrapped
      from missing_usage m
      join turns t on t.user_id = m.user_id and t.answer_id = m.answer_id
      left join provider_keys k on t.paid_by = 'byok' and k.user_id = t.user_id
      left join data_keys d on d.id = k.data_key
     where m.ended_at > $1
       and m.ended_at < $2
       and (t.paid_by = 'credits' or d.id is not null)
     order by m.ended_at
     limit $3";

const BACKFILL: &str = "select backfill_usage($1, $2, $3)";

/// An ended turn whose model had begun, and whose tokens and cost are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingUsage {
    /// The turn's user.
    pub user: UserId,
    /// Its answer.
    pub answer: MessageId,
    /// The provider's name for the generation.
    pub generation: String,
    /// The user's own key, if an own key paid; the present one, which may be another.
    pub byok: Option<EncryptedKey>,
    /// When the turn ended.
    pub ended_at: Timestamp,
}

impl Jobs {
    /// At most `limit` turns that ended after `since` and before `before` and whose usage is unknown, the oldest
    /// first. The next page is the one since the last one's end.
    ///
    /// Older ones are given up by the caller: a provider that has not reported within a day will not.
    pub async fn missing_usage(
        &self,
        since: Timestamp,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<MissingUsage>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(MISSING_USAGE, &[&since, &before, &limit]).await?;
        Ok(rows.iter().map(missing_usage).collect::<Result<_, _>>()?)
    }

    /// Backfills usage where it is unknown. What the turn costs its user in credits stays.
    pub async fn backfill_usage(
        &self,
        turn: &MissingUsage,
        usage: Usage,
    ) -> Result<(), StoreError> {
        let usage = Json(UsageColumns::from(usage));
        self.query(BACKFILL, &[&turn.user.0, &turn.answer.as_str(), &usage]).await?;
        Ok(())
    }
}

fn missing_usage(row: &Row) -> Result<MissingUsage, DatabaseError> {
    Ok(MissingUsage {
        user: UserId(row.try_get("user_id")?),
        answer: DatabaseError::stored(MessageId::parse(row.try_get("answer_id")?))?,
        generation: row.try_get("generation_id")?,
        byok: encrypted_key(row)?,
        ended_at: row.try_get("ended_at")?,
    })
}
