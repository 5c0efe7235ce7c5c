//! BYOK: the user's own key at OpenRouter, its format, its policy, and its errors.
//!
//! ```text
//! text ──parse──▶ ProviderKey ──OpenRouter──▶ KeyInfo ──usable──▶ encrypted and stored
//! ```
//!
//! The plaintext is only ever in a [`ProviderKey`], whose `Debug` is redacted. Users see
//! [`ProviderKey::masked`].

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::billing::{nano_usd, usd};
use crate::limits::LimitReached;
use crate::store::{BoxError, StoreError};

/// The prefix of every key. The rest has changed before (`v1-` and 64 hex digits today), so its
/// format is not checked.
const PREFIX: &str = "sk-or-";
/// Twice the four characters that a masked key shows.
const SHORTEST_REST: usize = 8;
/// Longer than any key has been, and short enough for a header.
const LONGEST: usize = 256;

/// A well-formed key; only `OpenRouter` can say whether it is valid.
#[derive(Clone)]
pub struct ProviderKey(SecretString);

/// The text is not a well-formed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "that is no OpenRouter key: it begins with {PREFIX}; copy the whole of it from openrouter.ai/settings/keys"
)]
pub struct MalformedKey;

impl ProviderKey {
    /// Accepts `sk-or-` and at least eight more printable ASCII characters, with the white space
    /// around it that is often copied along.
    pub fn parse(raw: &str) -> Result<Self, MalformedKey> {
        let key = raw.trim();
        let well_formed = key.len() <= LONGEST
            && key.strip_prefix(PREFIX).is_some_and(|rest| rest.len() >= SHORTEST_REST)
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        if well_formed { Ok(Self(SecretString::from(key))) } else { Err(MalformedKey) }
    }

    /// The plaintext key: for `OpenRouter` and for encryption, never for a log or a response.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The masked key, by which its owner recognises it: `sk-or-...1c96`.
    pub fn masked(&self) -> String {
        let key = self.expose();
        let end = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
        format!("{PREFIX}...{end}")
    }
}

/// Redacted.
impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderKey")
    }
}

/// When the user's own key pays (BYOK).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyPolicy {
    /// For every turn.
    Always,
    /// Only if the plan does not pay: its credits are exhausted, or it does not include the model.
    /// The default, because the user's money is spent only where it has to be.
    #[default]
    Fallback,
}

impl KeyPolicy {
    /// The database value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Fallback => "fallback",
        }
    }

    /// Parses the database value.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Always, Self::Fallback].into_iter().find(|known| known.as_str() == word)
    }
}

/// Whether a key can pay for turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// Not refused so far.
    Active,
    /// `OpenRouter` refused it in a turn. It has to be replaced.
    Refused,
}

impl KeyStatus {
    /// Maps the stored flag.
    pub const fn of(is_refused: bool) -> Self {
        if is_refused { Self::Refused } else { Self::Active }
    }
}

/// The most that a user lets their key spend here in a month. Independent of the key's limit at
/// `OpenRouter`, which covers other apps, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthlyCap {
    nano_usd: i64,
}

/// The smallest and the largest cap, in US dollars. `None` is no cap.
const CAPS: std::ops::RangeInclusive<f64> = 0.01..=100_000.0;

/// The amount is not a valid monthly cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a monthly cap is between {} and {} US dollars, or null for none", CAPS.start(), CAPS.end()
)]
pub struct InvalidCap;

impl MonthlyCap {
    /// Accepts 0.01 to 100,000 US dollars.
    pub fn from_usd(usd: f64) -> Result<Self, InvalidCap> {
        if CAPS.contains(&usd) { Ok(Self { nano_usd: nano_usd(usd) }) } else { Err(InvalidCap) }
    }

    /// Restores a stored cap.
    pub const fn from_nano_usd(nano_usd: i64) -> Self {
        Self { nano_usd }
    }

    /// In billionths of a US dollar, as it is stored.
    pub const fn nano_usd(self) -> i64 {
        self.nano_usd
    }

    /// In US dollars, as the user set it.
    pub fn usd(self) -> f64 {
        usd(self.nano_usd)
    }
}

/// A key's data at `OpenRouter`. Amounts are in billionths of a US dollar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its label at `OpenRouter`: the masked key, or the name that its owner gave it.
    pub label: Option<String>,
    /// Its spending limit; `None` if only its account's balance limits it.
    pub limit_nano_usd: Option<i64>,
    /// What is left of the limit. Not the limit minus the usage: a limit may reset each day, week or
    /// month.
    pub remaining_nano_usd: Option<i64>,
    /// Its usage over its whole lifetime.
    pub usage_nano_usd: i64,
    /// When it expires, if it does.
    pub expires_at: Option<Timestamp>,
    /// A management key: manages an account's other keys, and cannot call models.
    pub is_management_key: bool,
}

impl KeyInfo {
    /// Checks that the key can call models.
    ///
    /// An exhausted key passes: it is valid, works again once its owner raises the limit or the limit
    /// resets, and until then each turn fails with the reason.
    pub fn usable(&self, now: Timestamp) -> Result<(), KeyError> {
        if self.is_management_key {
            return Err(KeyError::ManagementKey);
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(KeyError::Expired);
        }
        Ok(())
    }
}

/// Why an operation on the user's own key failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a well-formed key.
    #[error(transparent)]
    Malformed(#[from] MalformedKey),
    /// Not a valid cap.
    #[error(transparent)]
    InvalidCap(#[from] InvalidCap),
    /// `OpenRouter` does not know it (any more).
    #[error(
        "OpenRouter does not know this key; make a new one at openrouter.ai/settings/keys and copy the whole of it"
    )]
    Unknown,
    /// It is a management key.
    #[error(
        "this is a management key, which cannot ask models; make an ordinary one at openrouter.ai/settings/keys"
    )]
    ManagementKey,
    /// It has expired.
    #[error("this key has expired; make a new one at openrouter.ai/settings/keys")]
    Expired,
    /// `OpenRouter` rate-limits the checks of keys.
    #[error(
        "OpenRouter takes no more questions about keys right now; try again in {} s", .retry_after.as_secs()
    )]
    CheckBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// `OpenRouter` could not be reached, or did not answer.
    #[error(
        "OpenRouter could not be asked about this key; nothing was changed, try again in a minute"
    )]
    CheckUnavailable(#[source] BoxError),
    /// The user has no key.
    #[error("you have no key here; add one first")]
    Missing,
    /// Too many key changes.
    #[error(
        "your plan allows {} keys to be tried in 24 hours; try again in {} s", .0.limit.count, .0.retry_after.as_secs()
    )]
    Limited(#[from] LimitReached),
    /// Postgres or the vault failed.
    #[error("your key cannot be reached right now; try again in a minute")]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "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";

    #[test]
    fn a_key_is_accepted_with_the_space_around_it() {
        assert_eq!(ProviderKey::parse(&format!("\u{a0} {KEY}\r\n")).unwrap().expose(), KEY);
        assert!(ProviderKey::parse("sk-or-12345678").is_ok());
        assert!(ProviderKey::parse(&format!("sk-or-{}", "x".repeat(250))).is_ok());
    }

    #[test]
    fn a_malformed_key_is_refused_with_a_hint() {
        for raw in [
            "",
            "sk-or-",
            "sk-or-1234567",
            "sk-proj-0123456789",
            "SK-OR-0123456789",
            "Bearer sk-or-0123456789",
            "sk-or-v1-0123 456789",
            "sk-or-v1-0123\n456789",
            "sk-or-v1-0123456789é",
            "sk-or-v1-\u{7f}0123456789",
            &format!("sk-or-{}", "x".repeat(251)),
        ] {
            assert!(ProviderKey::parse(raw).is_err(), "{raw:?}");
        }
        let words = ProviderKey::parse("hunter2").unwrap_err().to_string();
        assert!(words.contains("sk-or-") && words.contains("settings/keys"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }

    #[test]
    fn a_masked_key_shows_the_last_four_characters() {
        assert_eq!(ProviderKey::parse(KEY).unwrap().masked(), "sk-or-...1c96");
        assert_eq!(ProviderKey::parse("sk-or-12345678").unwrap().masked(), "sk-or-...5678");
    }

    #[test]
    fn debug_output_redacts_the_key() {
        let key = ProviderKey::parse(KEY).unwrap();
        assert_eq!(format!("{key:?} {:#?}", Some(&key)), "ProviderKey Some(\n    ProviderKey,\n)");
    }

    #[test]
    fn a_key_policy_round_trips_through_the_database_and_json() {
        for (policy, stored, sent) in [
            (KeyPolicy::Always, "always", "\"always\""),
            (KeyPolicy::Fallback, "fallback", "\"fallback\""),
        ] {
            assert_eq!((policy.as_str(), KeyPolicy::parse(stored)), (stored, Some(policy)));
            assert_eq!(serde_json::to_string(&policy).unwrap(), sent);
            assert_eq!(serde_json::from_str::<KeyPolicy>(sent).unwrap(), policy);
        }
        assert_eq!(KeyPolicy::parse("after_credits"), None);
    }

    #[test]
    fn a_key_is_active_until_it_is_refused() {
        for (is_refused, sent) in [(false, "\"active\""), (true, "\"refused\"")] {
            assert_eq!(serde_json::to_string(&KeyStatus::of(is_refused)).unwrap(), sent);
        }
    }

    #[test]
    fn a_cap_is_between_a_cent_and_100_000_dollars() {
        for (usd, nano) in [(0.01, 10_000_000), (19.99, 19_990_000_000), (1e5, 100_000_000_000_000)]
        {
            let cap = MonthlyCap::from_usd(usd).unwrap();
            assert_eq!(cap.nano_usd(), nano);
            assert_eq!(MonthlyCap::from_nano_usd(nano).usd().to_bits(), f64::to_bits(usd));
        }
        for usd in [0.0, -1.0, 0.009, 100_000.01, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(MonthlyCap::from_usd(usd), Err(InvalidCap), "{usd}");
        }
        let words = InvalidCap.to_string();
        assert!(words.contains("0.01") && words.contains("100000 US dollars"), "{words}");
    }

    #[test]
    fn an_exhausted_key_is_usable_an_expired_or_management_key_is_not() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let spent = KeyInfo { remaining_nano_usd: Some(0), ..KeyInfo::default() };
        assert!(spent.usable(at(0)).is_ok());

        let ending = KeyInfo { expires_at: Some(at(100)), ..KeyInfo::default() };
        assert!(ending.usable(at(99)).is_ok());
        assert!(matches!(ending.usable(at(100)), Err(KeyError::Expired)));

        let managing = KeyInfo { is_management_key: true, ..KeyInfo::default() };
        assert!(matches!(managing.usable(at(0)), Err(KeyError::ManagementKey)));
    }
}
