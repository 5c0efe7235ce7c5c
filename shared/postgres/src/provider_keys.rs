//! `provider_keys`, sealed, and `data_keys`, wrapped: nothing here can be read without the master key.

use jiff::Timestamp;
use shared_core::keys::{KeyInfo, KeyPolicy, MonthlyCap};
use shared_core::plans::PlanId;
use shared_core::vault::{DataKeyId, Sealed, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{DatabaseError, Request};

/// What [`stored`] reads of `k`, the key of user `$1`, at the time `$2`.
macro_rules! stored_key {
    () => {
        "k.masked, k.policy, k.cap_nano_usd, k.label, k.limit_nano_usd, k.remaining_nano_usd,
         k.usage_nano_usd, k.expires_at, k.checked_at, k.refused_at, spent_by_key($1, $2)"
    };
}

/// One row, whether there is a key or not.
const OVERVIEW: &str = concat!(
    "
    select (select plan from current_allowances($1, $2, 1) limit 1), d.id, d.master, d.wrapped, ",
    stored_key!(),
    "
      from (values (1)) as always_one
      left join provider_keys k on k.user_id = $1
      left join data_keys d on d.master = $3"
);

pub(crate) const DATA_KEY: &str = "
    select id, master, wrapped
      from data_keys
     where master = $1";

/// Whoever comes second gets what the first has put there; the function is in the fourth migration.
pub(crate) const ADD_DATA_KEY: &str = "
    select id, master, wrapped
      from add_data_key($1, $2, $3, $4)";

/// A key that replaces another takes over its settings here and not in the app: they may be changed
/// while the provider is asked about the new key.
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

/// The nonce says that it is still the key that was refused.
pub(crate) const MARK_REFUSED: &str = "
    update provider_keys
       set refused_at = $3
     where user_id = $1
       and nonce = $2
       and refused_at is null";

/// When a key pays, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// When it pays.
    pub policy: KeyPolicy,
    /// What it may spend in a month, at most.
    pub cap: Option<MonthlyCap>,
}

/// What to change of a key's settings; what is left out stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// When it pays.
    pub policy: Option<KeyPolicy>,
    /// What it may spend in a month.
    pub cap: Option<Option<MonthlyCap>>,
}

/// A key to store.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// The key.
    pub sealed: &'a Sealed,
    /// What its owner knows it by.
    pub masked: &'a str,
    /// What to change of the settings: those of the key that it replaces, or else the default use and no
    /// cap.
    pub change: KeyChange,
    /// What the provider says of it, now.
    pub info: &'a KeyInfo,
}

/// A key that is stored, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// What its owner knows it by.
    pub masked: String,
    /// When it pays.
    pub settings: KeySettings,
    /// What the provider said of it when it was stored.
    pub info: KeyInfo,
    /// When that was.
    pub checked_at: Timestamp,
    /// When the provider refused it, if it has.
    pub refused_at: Option<Timestamp>,
    /// What it has spent in this month (UTC), in billionths of a US dollar.
    pub spent_nano_usd: i64,
}

/// What there is to know before a key is looked at or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOverview {
    /// The user's plan, if its id can be read.
    pub plan: Option<PlanId>,
    /// The data key under the master key that was asked for.
    pub data_key: Option<WrappedKey>,
    /// The user's key, if there is one.
    pub key: Option<StoredKey>,
}

impl Request<'_> {
    /// The user's key and plan, and the data key under `master`.
    pub async fn key_overview(&self, master: Option<&str>) -> Result<KeyOverview, DatabaseError> {
        let rows = self.query(OVERVIEW, &[&self.session.user.0, &self.now, &master]).await?;
        let row = rows.first().ok_or_else(|| DatabaseError::unexpected("no overview"))?;
        let plan: String = row.try_get(0)?;
        Ok(KeyOverview {
            plan: PlanId::parse(&plan),
            data_key: row.try_get::<_, Option<Uuid>>(1)?.map(|_| data_key(row, 1)).transpose()?,
            key: row.try_get::<_, Option<&str>>(4)?.map(|_| stored(row, 4)).transpose()?,
        })
    }

    /// Adds a data key, or answers with the one that its master key has already.
    pub async fn add_data_key(&self, key: &WrappedKey) -> Result<WrappedKey, DatabaseError> {
        let params: &[&(dyn ToSql + Sync)] = &[&key.id.0, &key.master, &key.wrapped, &self.now];
        match self.query(ADD_DATA_KEY, params).await?.first() {
            Some(row) => data_key(row, 0),
            None => Err(DatabaseError::unexpected("no data key")),
        }
    }

    /// Stores the user's key, in place of an earlier one, whose settings it keeps.
    pub async fn put_key(&self, key: &NewKey<'_>) -> Result<StoredKey, DatabaseError> {
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
            Some(row) => stored(row, 0),
            None => Err(DatabaseError::unexpected("no stored key")),
        }
    }

    /// Changes when the user's key pays; answers with the key, if there is one.
    pub async fn change_key(&self, change: KeyChange) -> Result<Option<StoredKey>, DatabaseError> {
        let params: &[&(dyn ToSql + Sync)] = &[
            &self.session.user.0,
            &self.now,
            &change.policy.map(KeyPolicy::as_str),
            &change.cap.is_some(),
            &change.cap.flatten().map(MonthlyCap::nano_usd),
        ];
        self.query(CHANGE, params).await?.first().map(|row| stored(row, 0)).transpose()
    }

    /// Forgets the user's key, if there is one.
    pub async fn delete_key(&self) -> Result<(), DatabaseError> {
        self.query(DELETE, &[&self.session.user.0]).await.map(drop)
    }
}

/// Three columns from `first` on.
pub(crate) fn data_key(row: &Row, first: usize) -> Result<WrappedKey, DatabaseError> {
    Ok(WrappedKey {
        id: DataKeyId(row.try_get(first)?),
        master: row.try_get(first + 1)?,
        wrapped: row.try_get(first + 2)?,
    })
}

/// The columns of `stored_key!` from `first` on.
fn stored(row: &Row, first: usize) -> Result<StoredKey, DatabaseError> {
    let policy = KeyPolicy::parse(row.try_get(first + 1)?);
    let policy = policy.ok_or_else(|| DatabaseError::unexpected("a key's policy"))?;
    let cap = row.try_get::<_, Option<i64>>(first + 2)?.map(MonthlyCap::from_nano_usd);
    Ok(StoredKey {
        masked: row.try_get(first)?,
        settings: KeySettings { policy, cap },
        info: KeyInfo {
            label: row.try_get(first + 3)?,
            limit_nano_usd: row.try_get(first + 4)?,
            remaining_nano_usd: row.try_get(first + 5)?,
            usage_nano_usd: row.try_get(first + 6)?,
            expires_at: row.try_get(first + 7)?,
            is_management_key: false,
        },
        checked_at: row.try_get(first + 8)?,
        refused_at: row.try_get(first + 9)?,
        spent_nano_usd: row.try_get(first + 10)?,
    })
}
