//! Key rotation: re-encrypts the users' own keys (BYOK) under the current master key, so that a former one
//! can be removed. Keys are read in pages, in the order of their users; each is replaced only if it still
//! is the key that was read (compare-and-set).

use std::collections::HashSet;

use shared_core::keys::{DataKeyId, WrappedKey};
use shared_postgres::UserKey;
use shared_vault::VaultError;

use crate::report::Counter;
use crate::{Deps, Run, WorkError};

/// Keys re-encrypted under the current master key.
const ROTATED: Counter = Counter::of_work("keysRotated");
/// Keys that could not be decrypted, and were left unchanged.
const UNREADABLE: Counter = Counter::of_work("keysUnreadable").with_metric("KeysUnreadable");
/// Deleted data keys of former master keys, which no key needs any more.
const DATA_KEYS_DELETED: Counter = Counter::of_work("dataKeysDeleted");
/// What this work reports.
pub(crate) const COUNTERS: [Counter; 3] = [ROTATED, UNREADABLE, DATA_KEYS_DELETED];

pub(crate) async fn rotate_keys(run: &mut Run<'_>) -> Result<(), WorkError> {
    let deps = run.deps;
    let master = deps.vault.master();
    let (mut after, mut current, mut locked) = (None, None, HashSet::new());
    loop {
        if run.is_out_of_time() {
            return Ok(());
        }
        let page = deps.jobs.keys_to_rotate(master, after).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.user);
        let current = match &mut current {
            Some(current) => current,
            None => current.insert(data_key(deps).await?),
        };
        for key in &page {
            if run.is_out_of_time() {
                return Ok(());
            }
            match rotate_one(deps, key, current, &mut locked).await? {
                RotateResult::Rotated => run.report.add(ROTATED, 1),
                RotateResult::NotNeeded => {}
                RotateResult::Unreadable => run.report.add(UNREADABLE, 1),
            }
        }
    }
    let deleted = deps.jobs.delete_unused_data_keys(master).await?;
    run.report.add(DATA_KEYS_DELETED, u64::try_from(deleted).unwrap_or(u64::MAX));
    Ok(())
}

/// Returns the data key under the current master key, or creates it; racing runs share the one stored first.
async fn data_key(deps: &Deps) -> Result<WrappedKey, WorkError> {
    if let Some(key) = deps.jobs.data_key(deps.vault.master()).await? {
        return Ok(key);
    }
    let now = deps.clock.now();
    let key = deps.vault.new_data_key(DataKeyId(deps.entropy.uuid(now))).await?;
    Ok(deps.jobs.add_data_key(&key, now).await?)
}

/// Result of rotating a key.
enum RotateResult {
    /// Re-encrypted under the current master key.
    Rotated,
    /// Another run did it, or its user has replaced or deleted it meanwhile.
    NotNeeded,
    /// Left unchanged: it cannot be decrypted, but its master key may yet come back.
    Unreadable,
}

/// `locked` has the data keys that KMS refuses to decrypt: it is called once for each, not for each user.
async fn rotate_one(
    deps: &Deps,
    former: &UserKey,
    current: &WrappedKey,
    locked: &mut HashSet<DataKeyId>,
) -> Result<RotateResult, WorkError> {
    let UserKey { user, key } = former;
    if locked.contains(&key.data_key.id) {
        return Ok(RotateResult::Unreadable);
    }
    let secret = match deps.vault.open(&key.data_key, *user, &key.sealed).await {
        Ok(secret) => secret,
        // The same for every key; a retry by the next run may succeed.
        Err(error @ VaultError::Unavailable(_)) => return Err(error.into()),
        Err(error @ (VaultError::Denied(_) | VaultError::MasterUnusable(_))) => {
            let data_key = key.data_key.id;
            tracing::error!(%data_key, %error, "no key under this data key can be decrypted");
            locked.insert(data_key);
            return Ok(RotateResult::Unreadable);
        }
        Err(error @ (VaultError::UnknownMaster(_) | VaultError::Forged)) => {
            tracing::error!(%user, %error, "a key cannot be decrypted");
            return Ok(RotateResult::Unreadable);
        }
    };
    let sealed = deps.vault.seal(current, *user, &secret).await?;
    drop(secret);
    let is_replaced = deps.jobs.replace_key(former, &sealed).await?;
    Ok(if is_replaced { RotateResult::Rotated } else { RotateResult::NotNeeded })
}
