//! Key rotation: users' keys are re-encrypted under the current master key, so that a former one can be removed.

use jiff::Timestamp;
use shared_core::ids::UserId;
use shared_core::keys::{Sealed, WrappedKey};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::provider_keys::{ADD_DATA_KEY, DATA_KEY, data_key};
use crate::billing::payment::encrypted_key;
use crate::error::DatabaseError;
use crate::{EncryptedKey, Jobs};

/// Rows of a page: a run that is cut off has done most of its work.
const PAGE: i64 = 200;

const KEYS_TO_ROTATE: &str = "
    select k.user_id, d.id as data_key, k.nonce, k.ciphertext, d.master, d.wrapped
      from provider_keys k
      join data_keys d on d.id = k.data_key
     where d.master <> $1
       and ($2::uuid is null or k.user_id > $2)
     order by k.user_id
     limit $3";

/// The nonce identifies the key that was read: a concurrent change wins.
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

/// A user's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// The key's user.
    pub user: UserId,
    /// The key, encrypted.
    pub key: EncryptedKey,
}

impl Jobs {
    /// A page of keys that are not encrypted under `master`, in the order of their users, after one of them.
    pub async fn keys_to_rotate(
        &self,
        master: &str,
        after: Option<UserId>,
    ) -> Result<Vec<UserKey>, StoreError> {
        let after = after.map(|user| user.0);
        let rows = self.query(KEYS_TO_ROTATE, &[&master, &after, &PAGE]).await?;
        Ok(rows.iter().map(user_key).collect::<Result<_, _>>()?)
    }

    /// The data key under `master`, if there is one.
    pub async fn data_key(&self, master: &str) -> Result<Option<WrappedKey>, StoreError> {
        let rows = self.query(DATA_KEY, &[&master]).await?;
        Ok(rows.first().map(data_key).transpose()?)
    }

    /// Adds a data key, or returns the one that its master key has already.
    pub async fn add_data_key(
        &self,
        key: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey, StoreError> {
        let params: &[&(dyn ToSql + Sync)] = &[&key.id.0, &key.master, &key.wrapped, &now];
        match self.query(ADD_DATA_KEY, params).await?.first() {
            Some(row) => Ok(data_key(row)?),
            None => Err(DatabaseError::unexpected("no data key").into()),
        }
    }

    /// Replaces a key by its re-encrypted form; returns whether it still was the one that was read.
    pub async fn replace_key(&self, read: &UserKey, sealed: &Sealed) -> Result<bool, StoreError> {
        let params: &[&(dyn ToSql + Sync)] = &[
            &read.user.0,
            &read.key.sealed.nonce.as_slice(),
            &sealed.data_key.0,
            &sealed.nonce.as_slice(),
            &sealed.ciphertext,
        ];
        Ok(!self.query(REPLACE, params).await?.is_empty())
    }

    /// Deletes data keys of other master keys that no key uses any more; returns how many.
    pub async fn delete_unused_data_keys(&self, master: &str) -> Result<usize, StoreError> {
        Ok(self.query(DELETE_UNUSED_DATA_KEYS, &[&master]).await?.len())
    }
}

fn user_key(row: &Row) -> Result<UserKey, DatabaseError> {
    let key = encrypted_key(row)?.ok_or_else(|| DatabaseError::unexpected("no data key"))?;
    Ok(UserKey { user: UserId(row.try_get("user_id")?), key })
}
