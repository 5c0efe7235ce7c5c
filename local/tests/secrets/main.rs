//! No secret is at rest or in a log, in any form that could be decoded.
//!
//! A user's whole life cycle runs with planted values. After each step, all that Postgres, Valkey and DynamoDB hold
//! is recorded, as is every line that is logged. Then each value is searched for in all of it: as plain
//! text, in hex, in base64 at any alignment, and as a list of bytes.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop where something breaks")]

mod at_rest;
mod buying;
mod life;
mod log;
mod planted;
mod uploading;

use serde_json::json;

use life::{ADDRESS, Life, OWN_KEY, PLATFORM_KEY, QUESTION};
use log::Log;
use planted::{Planted, assert_absent};

const REVOKED_KEY: &str = "sk-or-v1-revoked-c41d7b9e02f85a6634e1908dbb27f3a5506ce9d81f";
const UNKNOWN_KEY: &str = "sk-or-v1-unknown-97ab03de5c6f4182b0e7d95516c8fa20347b1e69dead";
/// Underscores for the dashes after `sk`: a copying error.
const MALFORMED_KEY: &str = "sk_or_v1_malformed_5e21c7f09b3ad846172c0fe8d5b9a4633f70e2d8";

#[tokio::test]
async fn a_users_whole_life_cycle_leaves_no_secret_at_rest_or_in_a_log() {
    let log = Log::begin();
    let mut life = Life::begin().await;
    let key = |key: &str| json!({ "key": key, "policy": "always", "monthlyCapUsd": 10 });

    let (code, token) = life.log_in().await;
    life.chat("fake/echo", 200).await;
    life.put("/api/keys/openrouter", &key(MALFORMED_KEY), 422).await;
    life.put("/api/keys/openrouter", &key(UNKNOWN_KEY), 422).await;
    life.put("/api/keys/openrouter", &json!({ "key": 7, "policy": OWN_KEY }), 422).await;
    life.put("/api/keys/openrouter", &key(REVOKED_KEY), 200).await;
    life.chat("fake/echo", 200).await;
    life.stack.provider.revoke(REVOKED_KEY);
    life.chat("fake/echo", 403).await;
    life.chat("fake/echo", 403).await;
    life.put("/api/keys/openrouter", &key(OWN_KEY), 200).await;
    for model in ["fake/echo", "fake/fail-midstream", "fake/cut"] {
        life.chat(model, 200).await;
    }
    life.chat("fake/status-500", 502).await;
    life.patch("/api/keys/openrouter", &json!({ "policy": "fallback", "monthlyCapUsd": 5 })).await;
    for path in ["/api/keys/openrouter", "/api/usage", "/api/me", "/api/me/sessions"] {
        life.get(path, 200).await;
    }
    // When Postgres refuses a row, its error detail holds the whole row.
    life.while_refused("messages", async |life| drop(life.chat("fake/echo", 503).await)).await;
    life.while_refused("provider_keys", async |life| {
        life.put("/api/keys/openrouter", &key(OWN_KEY), 503).await;
    })
    .await;
    assert_eq!(life.sweep().await.json()["keysRotated"], 1);
    let purchase = life.buy().await;
    let (uploaded, filename) = life.upload().await;
    let waiting_code = life.ask_for_code().await;
    life.log_out().await;
    life.get("/api/me", 401).await;

    // Every key was used.
    let asked_with = life.stack.provider.requests();
    for key in [PLATFORM_KEY, REVOKED_KEY, OWN_KEY] {
        assert!(
            asked_with.iter().any(|request| request.key() == key),
            "no model was asked with {key}"
        );
    }
    let data_keys = life.data_keys();
    assert_eq!(data_keys.len(), 2, "one under each master key");

    let mut secrets = vec![
        Planted::text("the code", &code),
        Planted::text("the code that waits", &waiting_code),
        // The part that cannot be guessed.
        Planted::text("the token's signature", token.rsplit('.').next().unwrap()),
        Planted::text("the own key", OWN_KEY),
        Planted::text("the revoked key", REVOKED_KEY),
        Planted::text("the unknown key", UNKNOWN_KEY),
        Planted::text("the malformed key", MALFORMED_KEY),
    ];
    secrets.extend(life::operators_secrets());
    secrets.extend(purchase);
    secrets.extend(data_keys.iter().map(|key| Planted::bytes("a data key", key)));
    let private =
        [Planted::text("the question", QUESTION), Planted::text("the address", ADDRESS), filename];

    // Counter-check: what may be there is found, so the search covers everything.
    let (postgres, valkey, responses) = (&life.seen.postgres, &life.seen.valkey, &life.responses);
    for value in &private {
        assert!(value.is_in(postgres), "{} is not in what Postgres holds", value.name);
    }
    assert!(Planted::text("what is shown of the key", "sk-or-...7e40").is_in(postgres));
    for kept in ["mac", ":turns", ":codes"] {
        assert!(valkey.contains(kept), "no {kept} in what Valkey holds");
    }
    let logged = log.text();
    for line in ["trace of a probe", "fake/fail-midstream", "/api/orders", "/api/keys/openrouter"] {
        assert!(logged.contains(line), "no {line:?} in the log");
    }

    assert_absent(&secrets, "Postgres", postgres);
    assert_absent(&secrets, "Valkey", valkey);
    assert_absent(&private, "Valkey", valkey);
    assert_absent(&secrets, "DynamoDB", &life.seen.dynamodb);
    assert_absent(&private, "DynamoDB", &life.seen.dynamodb);
    assert_absent(&secrets, "the log", &logged);
    assert_absent(&private, "the log", &logged);
    assert_absent(&secrets, "an answer", responses);
    // An answer has the signatures, on purpose.
    for (place, text) in [
        ("Postgres", postgres),
        ("Valkey", valkey),
        ("DynamoDB", &life.seen.dynamodb),
        ("the log", &logged),
    ] {
        assert_absent(&uploaded, place, text);
    }
}

#[tokio::test]
async fn swapped_ciphertexts_are_refused_and_no_model_is_asked() {
    let mut life = Life::begin().await;
    let keys = [OWN_KEY, REVOKED_KEY];
    let mut cookies = Vec::new();
    for (address, key) in ["ada@example.com", "eve@example.com"].into_iter().zip(keys) {
        let cookie = life.stack.cookie(&life.stack.session(address).await);
        life.sign_in_as(&cookie);
        life.put("/api/keys/openrouter", &json!({ "key": key, "policy": "always" }), 200).await;
        life.chat("fake/echo", 200).await;
        cookies.push(cookie);
    }
    let asked = |life: &Life| {
        let requests = life.stack.provider.requests();
        requests.iter().map(|request| request.key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(asked(&life), keys);

    let swap = "update provider_keys mine
                   set nonce = other.nonce, ciphertext = other.ciphertext, data_key = other.data_key
                  from provider_keys other
                 where other.user_id <> mine.user_id";
    assert_eq!(life.stack.owner().await.execute(swap, &[]).await.unwrap(), 2);
    for cookie in &cookies {
        life.sign_in_as(cookie);
        let refused = life.chat("fake/echo", 403).await;
        assert_eq!(refused.code(), "key_unreadable");
    }
    assert_eq!(asked(&life), keys, "a model was asked with another user's key");

    // Swapped back, both work again.
    life.stack.owner().await.execute(swap, &[]).await.unwrap();
    for cookie in &cookies {
        life.sign_in_as(cookie);
        life.chat("fake/echo", 200).await;
    }
    assert_eq!(asked(&life), keys.repeat(2));
}
