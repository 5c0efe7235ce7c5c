//! BYOK: a user's own key, stored as the keys function stores it.

use secrecy::SecretString;
use shared_core::identity::Session;
use shared_core::keys::{DataKeyId, KeyInfo, KeyPolicy, MonthlyCap, ProviderKey};
use shared_lambda::system_entropy;
use shared_postgres::{KeyChange, NewKey};

use crate::TestStack;

impl TestStack {
    /// Stores an encrypted key for a session's user.
    pub async fn byok(
        &self,
        session: &Session,
        key: &str,
        policy: KeyPolicy,
        cap: Option<MonthlyCap>,
    ) {
        let (vault, database, now) = (self.vault(), self.database(), self.clock.now());
        let request = database.request(session, now);
        let new = DataKeyId(system_entropy().uuid(now));
        let data_key = match request.key_overview(Some(vault.master())).await.unwrap().data_key {
            Some(key) => key,
            None => request.add_data_key(&vault.new_data_key(new).await.unwrap()).await.unwrap(),
        };
        let sealed = vault.seal(&data_key, session.user, &SecretString::from(key)).await.unwrap();
        let masked = ProviderKey::parse(key).unwrap().masked();
        let change = KeyChange { policy: Some(policy), cap: Some(cap) };
        let info = KeyInfo::default();
        let key = NewKey { sealed: &sealed, masked: &masked, change, info: &info };
        request.put_key(&key).await.unwrap();
    }
}
