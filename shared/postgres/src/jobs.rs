//! Work that no user asks for. It runs as a role of its own, which sees rows of all users, of those
//! tables alone that a migration has given it.
//!
//! All of it is safe to run twice at once: each row is changed on the condition that it still is what it
//! was.

use jiff::Timestamp;
use shared_core::ambient::Clock;
use shared_core::env::ConfigError;
use shared_core::ids::UserId;
use shared_core::vault::{Sealed, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::provider_keys::{ADD_DATA_KEY, DATA_KEY, data_key};
use crate::receipt::{OwnKey, own_key};
use crate::{Database, DatabaseConfig, Error};

/// So many rows at a time: a job that is cut off has done most of its work.
const BATCH: i64 = 200;

/// A turn that somebody else ends at this moment is left to them. Allowances are locked in the order in
/// which `pay_for_turn` locks them, so that nobody waits for each other.
const END_DEAD: &str = "
    with dead as materialized (
      select answer_id, credits, user_id, plan, starts_at
        from turns
       where state = 'open'
         and began_at < $1
       order by began_at
       limit $3
         for update skip locked
    )
    select sum(end_turn(answer_id, $2, 'released')), sum(credits)
      from (select * from dead order by user_id, plan = 'free', starts_at) in_order";

const STALE_KEYS: &str = "
    select k.user_id, d.id, k.nonce, k.ciphertext, d.master, d.wrapped
      from provider_keys k
      join data_keys d on d.id = k.data_key
     where d.master <> $1
       and ($2::uuid is null or k.user_id > $2)
     order by k.user_id
     limit $3";

/// The nonce says that it is still the key that was read.
const REPLACE: &str = "
    update provider_keys
       set data_key = $3,
           nonce = $4,
           ciphertext = $5
     where user_id = $1
       and nonce = $2
    returning user_id";

const FORGET_DATA_KEYS: &str = "
    delete from data_keys d
     where d.master <> $1
       and not exists (select from provider_keys where data_key = d.id)
    returning id";

/// The database, for jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    database: Database,
}

/// Turns that died with whoever ran them, and that were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadTurns {
    /// How many.
    pub turns: i64,
    /// The credits that were given back.
    pub credits: i64,
}

/// Somebody's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// Whose it is.
    pub user: UserId,
    /// The key, sealed.
    pub key: OwnKey,
}

impl Jobs {
    /// Prepares the pool, without connecting. The clock dates IAM tokens.
    pub fn new(config: &DatabaseConfig, clock: Clock) -> Result<Self, ConfigError> {
        Database::as_role("app_job", config, clock).map(|database| Self { database })
    }

    /// Opens a connection if none is open.
    pub async fn warm(self) -> Result<(), Error> {
        self.database.warm().await
    }

    /// Ends turns that began before `dead_since` and that nobody has ended: what they reserved is given
    /// back. Some at a time; the rest waits for the next call, and none is left when it answers with 0.
    pub async fn end_dead_turns(
        &self,
        dead_since: Timestamp,
        now: Timestamp,
    ) -> Result<DeadTurns, Error> {
        let rows = self.query(END_DEAD, &[&dead_since, &now, &BATCH]).await?;
        let Some(row) = rows.first() else { return Ok(DeadTurns::default()) };
        Ok(DeadTurns {
            turns: row.try_get::<_, Option<i64>>(0)?.unwrap_or(0),
            credits: row.try_get::<_, Option<i64>>(1)?.unwrap_or(0),
        })
    }

    /// Keys that are not sealed under `master`, in the order of their users, after one of them.
    pub async fn stale_keys(
        &self,
        master: &str,
        after: Option<UserId>,
    ) -> Result<Vec<UserKey>, Error> {
        let after = after.map(|user| user.0);
        let rows = self.query(STALE_KEYS, &[&master, &after, &BATCH]).await?;
        rows.iter().map(user_key).collect()
    }

    /// The data key under `master`, if there is one.
    pub async fn data_key(&self, master: &str) -> Result<Option<WrappedKey>, Error> {
        let rows = self.query(DATA_KEY, &[&master]).await?;
        rows.first().map(|row| data_key(row, 0)).transpose()
    }

    /// Adds a data key, or answers with the one that its master key has already.
    pub async fn add_data_key(
        &self,
        key: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey, Error> {
        let params: &[&(dyn ToSql + Sync)] = &[&key.id.0, &key.master, &key.wrapped, &now];
        match self.query(ADD_DATA_KEY, params).await?.first() {
            Some(row) => data_key(row, 0),
            None => Err(Error::unexpected("no data key")),
        }
    }

    /// Seals a key anew; answers whether it still was the one that was read.
    pub async fn replace_key(&self, read: &UserKey, sealed: &Sealed) -> Result<bool, Error> {
        let params: &[&(dyn ToSql + Sync)] = &[
            &read.user.0,
            &read.key.sealed.nonce.as_slice(),
            &sealed.data_key.0,
            &sealed.nonce.as_slice(),
            &sealed.ciphertext,
        ];
        Ok(!self.query(REPLACE, params).await?.is_empty())
    }

    /// Forgets data keys of other masters that no key needs any more; answers how many.
    pub async fn forget_data_keys(&self, master: &str) -> Result<usize, Error> {
        Ok(self.query(FORGET_DATA_KEYS, &[&master]).await?.len())
    }

    /// Each statement here is a transaction of its own.
    async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.database
            .retrying(|client| async move {
                let statement = client.prepare_cached(sql).await?;
                Ok(client.query(&statement, params).await?)
            })
            .await
    }
}

fn user_key(row: &Row) -> Result<UserKey, Error> {
    let id: Uuid = row.try_get(1)?;
    let key = own_key(id, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?)?;
    Ok(UserKey { user: UserId(row.try_get(0)?), key })
}
