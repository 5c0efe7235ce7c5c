//! Work that no user asks for. It runs as a role of its own, which sees rows of all users, of those
//! tables alone that a migration has given it.
//!
//! All of it is safe to run twice at once: each row is changed on the condition that it still is what it
//! was.

use jiff::Timestamp;
use shared_core::clock::Clock;
use shared_core::env::ConfigError;
use shared_core::ids::UserId;
use shared_core::vault::{Sealed, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::payment::{EncryptedKey, encrypted_key};
use crate::provider_keys::{ADD_DATA_KEY, DATA_KEY, data_key};
use crate::{Database, DatabaseConfig, DatabaseError};

/// So many rows at a time: a job that is cut off has done most of its work.
const BATCH: i64 = 200;

const KEYS_TO_ROTATE: &str = "
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

const DELETE_UNUSED_DATA_KEYS: &str = "
    delete from data_keys d
     where d.master <> $1
       and not exists (select from provider_keys where data_key = d.id)
    returning id";

/// The database, for jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    pub(crate) database: Database,
}

/// Somebody's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// Whose it is.
    pub user: UserId,
    /// The key, sealed.
    pub key: EncryptedKey,
}

impl Jobs {
    /// Prepares the pool, without connecting. The clock dates IAM tokens.
    pub fn new(config: &DatabaseConfig, clock: Clock) -> Result<Self, ConfigError> {
        Database::as_role("app_job", config, clock).map(|database| Self { database })
    }

    /// Opens a connection if none is open.
    pub async fn warm(self) -> Result<(), DatabaseError> {
        self.database.warm().await
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        self.database.ping().await
    }

    /// Keys that are not sealed under `master`, in the order of their users, after one of them.
    pub async fn keys_to_rotate(
        &self,
        master: &str,
        after: Option<UserId>,
    ) -> Result<Vec<UserKey>, DatabaseError> {
        let after = after.map(|user| user.0);
        let rows = self.query(KEYS_TO_ROTATE, &[&master, &after, &BATCH]).await?;
        rows.iter().map(user_key).collect()
    }

    /// The data key under `master`, if there is one.
    pub async fn data_key(&self, master: &str) -> Result<Option<WrappedKey>, DatabaseError> {
        let rows = self.query(DATA_KEY, &[&master]).await?;
        rows.first().map(|row| data_key(row, 0)).transpose()
    }

    /// Adds a data key, or answers with the one that its master key has already.
    pub async fn add_data_key(
        &self,
        key: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey, DatabaseError> {
        let params: &[&(dyn ToSql + Sync)] = &[&key.id.0, &key.master, &key.wrapped, &now];
        match self.query(ADD_DATA_KEY, params).await?.first() {
            Some(row) => data_key(row, 0),
            None => Err(DatabaseError::unexpected("no data key")),
        }
    }

    /// Seals a key anew; answers whether it still was the one that was read.
    pub async fn replace_key(
        &self,
        read: &UserKey,
        sealed: &Sealed,
    ) -> Result<bool, DatabaseError> {
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
    pub async fn delete_unused_data_keys(&self, master: &str) -> Result<usize, DatabaseError> {
        Ok(self.query(DELETE_UNUSED_DATA_KEYS, &[&master]).await?.len())
    }

    /// Each statement here is a transaction of its own.
    pub(crate) async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.database
            .retrying(|client| async move {
                let statement = client.prepare_cached(sql).await?;
                Ok(client.query(&statement, params).await?)
            })
            .await
    }
}

fn user_key(row: &Row) -> Result<UserKey, DatabaseError> {
    let id: Uuid = row.try_get(1)?;
    let key =
        encrypted_key(id, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?)?;
    Ok(UserKey { user: UserId(row.try_get(0)?), key })
}
