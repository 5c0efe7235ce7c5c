//! The user's own key, for one turn.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use shared_core::keys::{KeyError, ProviderKey};
use shared_core::model_error::ModelError;
use shared_core::turn::TurnError;
use shared_postgres::{BegunTurn, EncryptedKey};
use shared_vault::VaultError;

use crate::Deps;

pub(crate) async fn opened(
    deps: &Deps,
    begun: &BegunTurn,
    key: &EncryptedKey,
) -> Result<ProviderKey, TurnError> {
    let opened = deps.vault.open(&key.data_key, begun.user, &key.sealed).await;
    let opened = opened.map_err(|error| match error {
        VaultError::Forged => TurnError::KeyUnreadable(error.into()),
        // Of the master key, which comes back or its operator can mend: the user's is not lost.
        VaultError::Unavailable(_)
        | VaultError::Denied(_)
        | VaultError::MasterUnusable(_)
        | VaultError::UnknownMaster(_) => TurnError::Unavailable(error.into()),
    })?;
    // What was stored was a key.
    ProviderKey::parse(opened.expose_secret())
        .map_err(|error| TurnError::KeyUnreadable(error.into()))
}

/// A key that the provider refuses is marked, and not tried again until it is replaced. So the provider is
/// asked once more, about the key alone: a turn may be refused for reasons that have nothing to do with it.
pub(crate) async fn confirmed(
    deps: &Deps,
    failure: ModelError,
    key: Option<&ProviderKey>,
    now: Timestamp,
) -> ModelError {
    match (&failure, key) {
        (ModelError::KeyRefused, Some(key)) => match deps.openrouter.check_key(key, now).await {
            Err(KeyError::Unknown) => failure,
            _ => ModelError::Broken,
        },
        _ => failure,
    }
}
