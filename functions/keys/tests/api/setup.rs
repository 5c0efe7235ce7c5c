//! Users with keys, and their stored ciphertexts.

use axum::body::Body;
use keys::{Deps, app};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared_core::identity::Session;
use shared_core::keys::{DataKeyId, Sealed, WrappedKey};
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use testkit::{Answer, Client, TestStack};

pub(crate) const PATH: &str = "/api/keys/openrouter";

/// In every key of these tests, and in no other text.
pub(crate) const SECRET: &str = "c0ffee";

/// A valid key.
pub(crate) const KEY: &str = "sk-or-v1-c0ffee-mine";

/// The key whose suffix selects a behaviour of the fake provider.
pub(crate) fn key_ending(end: &str) -> String {
    format!("sk-or-v1-{SECRET}-{end}")
}

/// The function's dependencies, without the platform's key.
pub(crate) fn deps(stack: &TestStack) -> Deps {
    let env = stack.env();
    let openrouter = OpenRouter::new(&OpenRouterConfig::without_key(&env).unwrap()).unwrap();
    assert!(!env.asked().contains("OPENROUTER_API_KEY"));
    Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        cache: stack.cache(),
        database: stack.database(),
        openrouter,
        vault: stack.vault(),
        plans: stack.plans(),
    }
}

/// A logged-in user.
pub(crate) struct User {
    pub(crate) session: Session,
    pub(crate) client: Client,
}

impl User {
    pub(crate) async fn new(stack: &TestStack, name: &str) -> Self {
        let session = stack.session(&format!("{name}@example.com")).await;
        Self::again(stack, session)
    }

    /// The same session in a new function instance, with the current variables.
    pub(crate) fn again(stack: &TestStack, session: Session) -> Self {
        let client = Client::new(app(deps(stack))).signed_in(&stack.cookie(&session));
        Self { session, client }
    }

    pub(crate) async fn get(&self) -> Answer {
        self.client.get(PATH).await
    }

    pub(crate) async fn put(&self, body: Value) -> Answer {
        self.client.json("PUT", PATH, body.to_string()).await
    }

    pub(crate) async fn put_key(&self, key: &str) -> Answer {
        self.put(json!({ "key": key })).await
    }

    pub(crate) async fn patch(&self, body: Value) -> Answer {
        self.client.patch(PATH, &body).await
    }

    pub(crate) async fn delete(&self) -> Answer {
        self.client.send(self.client.request("DELETE", PATH, Body::empty())).await
    }

    /// The stored key, decrypted by the stack's current vault.
    pub(crate) async fn stored(&self, stack: &TestStack) -> Option<String> {
        let (data_key, sealed) = self.sealed(stack).await?;
        let key = stack.vault().open(&data_key, self.session.user, &sealed).await;
        Some(readable(&key.unwrap()))
    }

    /// The stored ciphertext and its data key.
    pub(crate) async fn sealed(&self, stack: &TestStack) -> Option<(WrappedKey, Sealed)> {
        let sql = "select d.id, d.master, d.wrapped, k.nonce, k.ciphertext
                     from provider_keys k join data_keys d on d.id = k.data_key
                    where k.user_id = $1";
        let row = stack.owner().await.query_opt(sql, &[&self.session.user.0]).await.unwrap()?;
        let id = DataKeyId(row.get(0));
        let nonce = row.get::<_, &[u8]>(3).try_into().unwrap();
        Some((
            WrappedKey { id, master: row.get(1), wrapped: row.get(2) },
            Sealed { data_key: id, nonce, ciphertext: row.get(4) },
        ))
    }
}

pub(crate) fn readable(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

/// Status and error code, or an empty code.
pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
