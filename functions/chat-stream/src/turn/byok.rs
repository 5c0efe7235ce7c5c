//! BYOK: the user's own key, for one turn.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use shared_core::chat::SendError;
use shared_core::ids::UserId;
use shared_core::keys::{KeyError, ProviderKey};
use shared_core::models::ModelError;
use shared_core::store::StoreError;
use shared_postgres::EncryptedKey;
use shared_vault::VaultError;

use crate::Deps;

/// Decrypts the user's key.
pub(super) async fn decrypt_key(
    deps: &Deps,
    user: UserId,
    key: &EncryptedKey,
) -> Result<ProviderKey, SendError> {
    let decrypted = deps.vault.open(&key.data_key, user, &key.sealed).await;
    let decrypted = decrypted.map_err(|error| match error {
        VaultError::Forged => SendError::KeyUnreadable(error.into()),
        // The master key's errors pass, or the operator can fix them: the user's key is not lost.
        VaultError::Unavailable(_)
        | VaultError::Denied(_)
        | VaultError::MasterUnusable(_)
        | VaultError::UnknownMaster(_) => StoreError::Unavailable(error.into()).into(),
    })?;
    // Only valid keys are stored.
    ProviderKey::parse(decrypted.expose_secret())
        .map_err(|error| SendError::KeyUnreadable(error.into()))
}

/// Checks the key itself when the provider refused a turn because of it: a refused key is marked and not
/// used again until it is replaced, and a turn may be refused for reasons that have nothing to do with it.
pub(super) async fn verify_refusal(
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
