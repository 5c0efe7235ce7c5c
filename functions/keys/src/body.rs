//! A key on the wire: what is shown of it, and what may be changed of it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use shared_core::keys::{InvalidCap, KeyPolicy, KeyStatus, MonthlyCap};
use shared_core::money::usd;
use shared_http::{KeyStatusSchema, key_policy_schema};
use shared_postgres::{KeyChange, StoredKey};
use utoipa::ToSchema;

/// A key, without the key. Amounts are in US dollars.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EncryptedKey)]
pub(crate) struct KeyBody {
    /// What its owner knows it by: its last four characters.
    #[schema(example = "sk-or-...1c96")]
    masked: String,
    #[serde(rename = "policy")]
    #[schema(schema_with = key_policy_schema)]
    policy: KeyPolicy,
    /// What it may spend here in a calendar month (UTC), or null: as much as `OpenRouter` lets it.
    #[schema(example = 20)]
    monthly_cap_usd: Option<f64>,
    /// What it, and keys that it replaced, spent here in this calendar month (UTC).
    #[schema(example = 3.25)]
    spent_this_month_usd: f64,
    /// What `OpenRouter` calls it.
    #[schema(example = "sk-or-v1-0e6...1c96")]
    label: Option<String>,
    /// Its limit at `OpenRouter`, for all apps together, or null: all that its account has. This and
    /// what follows is as it was at `checkedAt`.
    #[schema(example = 100)]
    limit: Option<f64>,
    /// What was left of that limit, or null if it has none.
    #[schema(example = 74.5)]
    limit_remaining: Option<f64>,
    /// What it had spent at `OpenRouter`, ever.
    #[schema(example = 25.5)]
    usage: f64,
    /// When it stops working, or null.
    expires_at: Option<Timestamp>,
    /// When `OpenRouter` was asked about it: when it was stored.
    checked_at: Timestamp,
    /// Whether turns can be paid with it.
    #[schema(value_type = KeyStatusSchema)]
    status: KeyStatus,
    /// When `OpenRouter` refused it, or null if it has not.
    refused_at: Option<Timestamp>,
}

impl From<StoredKey> for KeyBody {
    fn from(key: StoredKey) -> Self {
        let StoredKey { masked, settings, info, checked_at, refused_at, spent_nano_usd } = key;
        Self {
            masked,
            policy: settings.policy,
            monthly_cap_usd: settings.cap.map(MonthlyCap::usd),
            spent_this_month_usd: usd(spent_nano_usd),
            label: info.label,
            limit: info.limit_nano_usd.map(usd),
            limit_remaining: info.remaining_nano_usd.map(usd),
            usage: usd(info.usage_nano_usd),
            expires_at: info.expires_at,
            checked_at,
            status: KeyStatus::of(refused_at.is_some()),
            refused_at,
        }
    }
}

/// Reads a field that is there. With `serde(default)`, one that is left out is `None`, and one that is
/// null is whatever `T` makes of it.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What to change of a key's settings.
#[expect(clippy::option_option, reason = "left out, null, or a cap")]
pub(crate) fn key_change(
    policy: Option<KeyPolicy>,
    monthly_cap_usd: Option<Option<f64>>,
) -> Result<KeyChange, InvalidCap> {
    let cap = monthly_cap_usd.map(|cap| cap.map(MonthlyCap::from_usd).transpose());
    Ok(KeyChange { policy, cap: cap.transpose()? })
}
