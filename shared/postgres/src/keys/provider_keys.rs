//! Users' own keys (BYOK): `provider_keys`, encrypted, and `data_keys`, wrapped. Neither can be decrypted without the
//! master key.

use jiff::Timestamp;
use shared_core::billing::PlanId;
use shared_core::keys::{DataKeyId, KeyInfo, KeyPolicy, MonthlyCap, Sealed, WrappedKey};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Request;
use crate::error::DatabaseError;

/// The columns that [`stored`] reads of `k`, the key of user `$1`, at the time `$2`.
macro_rules! stored_key {
    () => {
        "k.masked, k.policy, k.cap_nano_usd, k.label, k.limit_nano_usd, k.remaining_nano_usd,
         k.usage_nano_usd, k.expires_at, k.checked_at, k.refused_at, spent_by_byok($1, $2) as spent_nano_usd"
    };
}

/// One row, whether there is a key or not.
const OVERVIEW: &str = concat!(
    "
    select (select plan from current_allowances($1, $2, 1) limit 1), d.id as data_key, d.master, d.wrapped, ",
    stored_key!(),
    "
      from (values (1)) as always_one
      left join provider_keys k on k.user_id = $1
      left join data_keys d on d.master = $3"
);

pub(super) const DATA_KEY: &str = "
    select id as data_key, master, wrapped
      from data_keys
     where master = $1";

/// Race: the second of two concurrent calls gets the first one's key.
pub(super) const ADD_DATA_KEY: &str = "
    select id as data_key, master, wrapped
      from add_data_key($1, $2, $3, $4)";

/// A key that replaces another one inherits its settings in this statement: a concurrent request may change them while
/// the provider checks the new key.
const PUT: &str = concat!(
    "
    insert into provider_keys as k (user_id, checked_at, data_key, nonce, ciphertext, masked, label, limit_nano_usd,
                                    remaining_nano_usd, usage_nano_usd, expires_at, policy, cap_nano_usd)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12::text, $13::text), $15)
    on conflict (user_id) do update
       set checked_at = excluded.checked_at,
           data_key = excluded.data_key,
           nonce = excluded.nonce,
           ciphertext = excluded.ciphertext,
           masked = excluded.masked,
           label = excluded.label,
           limit_nano_usd = excluded.limit_nano_usd,
           remaining_nano_usd = excluded.remaining_nano_usd,
           usage_nano_usd = excluded.usage_nano_usd,
           expires_at = excluded.expires_at,
           policy = coalesce($12, k.policy),
           cap_nano_usd = case when $14 then excluded.cap_nano_usd else k.cap_nano_usd end,
           refused_at = null
    returning ",
    stored_key!()
);

const CHANGE: &str = concat!(
    "
    update provider_keys as k
       set policy = coalesce($3, k.policy),
           cap_nano_usd = case when $4 then $5 else k.cap_nano_usd end
     where user_id = $1
    returning ",
    stored_key!()
);

const DELETE: &str = "
    delete from provider_keys
     where user_id = $1";

/// A key's policy and cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// When it pays.
    pub policy: KeyPolicy,
    /// The most that it may spend in a calendar month.
    pub cap: Option<MonthlyCap>,
}

/// A change of a key's settings; `None` leaves a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// When it pays.
    pub policy: Option<KeyPolicy>,
    /// The most that it may spend in a calendar month; `Some(None)` removes the cap.
    pub cap: Option<Option<MonthlyCap>>,
}

/// A key to store.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// The key.
    pub sealed: &'a Sealed,
    /// The masked form, such as `sk-or-...abcd`.
    pub masked: &'a str,
    /// Changes of the settings, which are those of the replaced key, or else the default policy and no cap.
    pub change: KeyChange,
    /// What the provider reports of it now.
    pub info: &'a KeyInfo,
}

/// A stored key's properties, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The masked form, such as `sk-or-...abcd`.
    pub masked: String,
    /// When it pays.
    pub settings: KeySettings,
    /// What the provider reported when it was stored.
    pub info: KeyInfo,
    /// When the provider reported it.
    pub checked_at: Timestamp,
    /// When the provider refused it, if it has.
    pub refused_at: Option<Timestamp>,
    /// Spent in this calendar month (UTC), in billionths of a US dollar.
    pub spent_nano_usd: i64,
}

/// The user's plan and key, and the data key that encrypts a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOverview {
    /// The user's plan, if its id can be read.
    pub plan: Option<PlanId>,
    /// The data key under the given master key, if there is one.
    pub data_key: Option<WrappedKey>,
    /// The user's key, if there is one.
    pub key: Option<StoredKey>,
}

impl Request<'_> {
    /// The user's key and plan, and the data key under `master`.
    pub async fn key_overview(&self, master: Option<&str>) -> Result<KeyOverview, StoreError> {
        let rows = self.query(OVERVIEW, &[&self.session.user.0, &self.now, &master]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no overview"))?;
        Ok(overview(row)?)
    }

    /// Adds a data key, or returns the one that its master key has already.
    pub async fn add_data_key(&self, key: &WrappedKey) -> Result<WrappedKey, StoreError> {
        let params: &[&(dyn ToSql + Sync)] = &[&key.id.0, &key.master, &key.wrapped, &self.now];
        match self.query(ADD_DATA_KEY, params).await?.first() {
            Some(row) => Ok(data_key(row)?),
            None => Err(DatabaseError::unexpected("no data key").into()),
        }
    }

    /// Stores the user's key, replacing an earlier one, whose settings it inherits.
    pub async fn put_key(&self, key: &NewKey<'_>) -> Result<StoredKey, StoreError> {
        let NewKey { sealed, masked, change, info } = *key;
        let params: &[&(dyn ToSql + Sync)] = &[
            &self.session.user.0,
            &self.now,
            &sealed.data_key.0,
            &sealed.nonce.as_slice(),
            &sealed.ciphertext,
            &masked,
            &info.label,
            &info.limit_nano_usd,
            &info.remaining_nano_usd,
            &info.usage_nano_usd,
            &info.expires_at,
            &change.policy.map(KeyPolicy::as_str),
            &KeyPolicy::default().as_str(),
            &change.cap.is_some(),
            &change.cap.flatten().map(MonthlyCap::nano_usd),
        ];
        match self.query(PUT, params).await?.first() {
            Some(row) => Ok(stored(row)?),
            None => Err(DatabaseError::unexpected("no stored key").into()),
        }
    }

    /// Changes the key's policy or cap; returns the key, if there is one.
    pub async fn change_key(&self, change: KeyChange) -> Result<Option<StoredKey>, StoreError> {
        let params: &[&(dyn ToSql + Sync)] = &[
            &self.session.user.0,
            &self.now,
            &change.policy.map(KeyPolicy::as_str),
            &change.cap.is_some(),
            &change.cap.flatten().map(MonthlyCap::nano_usd),
        ];
        Ok(self.query(CHANGE, params).await?.first().map(stored).transpose()?)
    }

    /// Deletes the user's key, if there is one.
    pub async fn delete_key(&self) -> Result<(), StoreError> {
        self.query(DELETE, &[&self.session.user.0]).await?;
        Ok(())
    }
}

fn overview(row: &Row) -> Result<KeyOverview, DatabaseError> {
    let plan: String = row.try_get("plan")?;
    Ok(KeyOverview {
        plan: PlanId::parse(&plan),
        data_key: row.try_get::<_, Option<Uuid>>("data_key")?.map(|_| data_key(row)).transpose()?,
        key: row.try_get::<_, Option<&str>>("masked")?.map(|_| stored(row)).transpose()?,
    })
}

/// Reads `data_key`, `master` and `wrapped`.
pub(super) fn data_key(row: &Row) -> Result<WrappedKey, DatabaseError> {
    Ok(WrappedKey {
        id: DataKeyId(row.try_get("data_key")?),
        master: row.try_get("master")?,
        wrapped: row.try_get("wrapped")?,
    })
}

/// Reads `policy` and `cap_nano_usd`.
pub(crate) fn settings(row: &Row) -> Result<KeySettings, DatabaseError> {
    let policy = KeyPolicy::parse(row.try_get("policy")?);
    let policy = policy.ok_or_else(|| DatabaseError::unexpected("a key's policy"))?;
    let cap: Option<i64> = row.try_get("cap_nano_usd")?;
    Ok(KeySettings { policy, cap: cap.map(MonthlyCap::from_nano_usd) })
}

/// Reads the columns of `stored_key!`.
fn stored(row: &Row) -> Result<StoredKey, DatabaseError> {
    Ok(StoredKey {
        masked: row.try_get("masked")?,
        settings: settings(row)?,
        info: KeyInfo {
            label: row.try_get("label")?,
            limit_nano_usd: row.try_get("limit_nano_usd")?,
            remaining_nano_usd: row.try_get("remaining_nano_usd")?,
            usage_nano_usd: row.try_get("usage_nano_usd")?,
            expires_at: row.try_get("expires_at")?,
            is_management_key: false,
        },
        checked_at: row.try_get("checked_at")?,
        refused_at: row.try_get("refused_at")?,
        spent_nano_usd: row.try_get("spent_nano_usd")?,
    })
}
