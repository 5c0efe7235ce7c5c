//! Backfills the usage of turns whose stream was not read to its end, because they were stopped or orphaned:
//! `OpenRouter` is asked, with the key that paid.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use shared_core::error_chain;
use shared_core::ids::UserId;
use shared_core::keys::ProviderKey;
use shared_openrouter::LookupError;
use shared_postgres::{EncryptedKey, MissingUsage};
use shared_vault::VaultError;

use crate::report::Counter;
use crate::{Deps, Run, WorkError};

/// Turns whose usage was backfilled.
const BACKFILLED: Counter = Counter::of_work("usageBackfilled");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 1] = [BACKFILLED];

const PAGE: usize = 100;

/// `OpenRouter` has to notice the disconnect first.
const KNOWN_AFTER: Duration = Duration::from_secs(5);
/// Usage that is unknown by then is looked up once an hour, so that what will never be known does not take
/// the time of each run.
const LOOKED_UP_EACH_RUN_FOR: Duration = Duration::from_mins(15);
const GIVEN_UP_AFTER: Duration = Duration::from_hours(24);

pub(crate) async fn backfill(run: &mut Run<'_>) -> Result<(), WorkError> {
    let now = run.deps.clock.now();
    let mut since = now - if begins_an_hour(now) { GIVEN_UP_AFTER } else { LOOKED_UP_EACH_RUN_FOR };
    loop {
        let page = run.deps.jobs.missing_usage(since, now - KNOWN_AFTER, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        since = last.ended_at;
        for turn in &page {
            if run.is_out_of_time() {
                return Ok(());
            }
            let is_known = look_up(run.deps, turn).await?;
            run.report.add(BACKFILLED, u64::from(is_known));
        }
    }
}

/// True for one run of each hour: the schedule runs once a minute.
fn begins_an_hour(now: Timestamp) -> bool {
    now.as_second().rem_euclid(3600) < 60
}

/// Looks up the usage of a turn, and stores it; returns whether it is known now.
async fn look_up(deps: &Deps, turn: &MissingUsage) -> Result<bool, WorkError> {
    let key = match &turn.byok {
        None => None,
        Some(byok) => match decrypt_key(deps, turn.user, byok).await? {
            Some(key) => Some(key),
            None => return Ok(false),
        },
    };
    match deps.openrouter.generation(&turn.generation, key.as_ref()).await {
        Ok(Some(usage)) => {
            deps.jobs.backfill_usage(turn, usage).await?;
            Ok(true)
        }
        Ok(None) => Ok(false),
        // Its owner has deleted the key at OpenRouter, and no other key may ask.
        Err(LookupError::KeyRefused) if key.is_some() => Ok(false),
        // Does not block the lookups of the others.
        Err(error @ LookupError::Unexpected(_)) => {
            let error = error_chain(&error);
            tracing::warn!(answer = %turn.answer, error, "the usage of a turn cannot be looked up");
            Ok(false)
        }
        // The same for all that follow; a retry by the next run may succeed.
        Err(error @ (LookupError::KeyRefused | LookupError::Unavailable(_))) => Err(error.into()),
    }
}

/// Returns `None` if the key cannot be decrypted: a turn or the key rotation that needs it logs that.
async fn decrypt_key(
    deps: &Deps,
    user: UserId,
    key: &EncryptedKey,
) -> Result<Option<ProviderKey>, WorkError> {
    match deps.vault.open(&key.data_key, user, &key.sealed).await {
        Ok(secret) => Ok(ProviderKey::parse(secret.expose_secret()).ok()),
        Err(error @ VaultError::Unavailable(_)) => Err(error.into()),
        Err(
            VaultError::Denied(_)
            | VaultError::MasterUnusable(_)
            | VaultError::UnknownMaster(_)
            | VaultError::Forged,
        ) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minute_of_an_hour_begins_it() {
        let begins = |at: &str| begins_an_hour(at.parse().unwrap());
        assert!(begins("2026-03-14T12:00:00Z") && begins("2026-03-14T12:00:59.9Z"));
        assert!(!begins("2026-03-14T12:01:00Z") && !begins("2026-03-14T11:59:59Z"));
    }
}
