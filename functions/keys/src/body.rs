//! JSON bodies of the user's own key (BYOK): its metadata, and the settings that can be changed.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use shared_core::billing::usd;
use shared_core::keys::{InvalidCap, KeyPolicy, KeyStatus, MonthlyCap};
use shared_http::{KeyStatusSchema, key_policy_schema};
use shared_postgres::{KeyChange, StoredKey};
use utoipa::ToSchema;

/// A stored key's settings and metadata, without the key itself. Amounts are in US dollars.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProviderKey)]
pub(crate) struct KeyBody {
    /// The key, masked: only its last four characters are readable.
    #[schema(example = "sk-or-...1c96")]
    masked: String,
    #[serde(rename = "policy")]
    #[schema(schema_with = key_policy_schema)]
    policy: KeyPolicy,
    /// Cap on its spending here per calendar month (UTC), or null: no cap but `OpenRouter`'s.
    #[schema(example = 20)]
    monthly_cap_usd: Option<f64>,
    /// Spent here with it, and with keys that it replaced, in this calendar month (UTC).
    #[schema(example = 3.25)]
    spent_this_month_usd: f64,
    /// Its label at `OpenRouter`.
    #[schema(example = "sk-or-v1-0e6...1c96")]
    label: Option<String>,
    /// Its limit at `OpenRouter`, for all apps together, or null: its account's balance. This field and
    /// the following ones are as of `checkedAt`.
    #[schema(example = 100)]
    limit: Option<f64>,
    /// Rest of that limit, or null if it has none.
    #[schema(example = 74.5)]
    limit_remaining: Option<f64>,
    /// Total spent with it at `OpenRouter`.
    #[schema(example = 25.5)]
    usage: f64,
    /// When it expires, or null.
    expires_at: Option<Timestamp>,
    /// When it was checked with `OpenRouter`: when it was stored.
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

/// Deserializes a field that is present. With `serde(default)`, an omitted one is `None`, and a null one is
/// deserialized by `T`.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Validates a change of a key's settings.
#[expect(clippy::option_option, reason = "left out, null, or a cap")]
pub(crate) fn key_change(
    policy: Option<KeyPolicy>,
    monthly_cap_usd: Option<Option<f64>>,
) -> Result<KeyChange, InvalidCap> {
    let cap = monthly_cap_usd.map(|cap| cap.map(MonthlyCap::from_usd).transpose());
    Ok(KeyChange { policy, cap: cap.transpose()? })
}
